//! `make guard`: counts what the hot functions cost and compares with `baseline.tsv`.
//!
//! | file | what it does |
//! |---|---|
//! | [`count`] | runs the tests named `guard`, under callgrind where it is installed |
//! | [`baseline`] | the counts that are committed, and what became dearer |

mod baseline;
mod count;

use std::process::ExitCode;

use anyhow::Result;

use self::baseline::Baseline;

/// `--accept` takes what is counted now as the new baseline.
fn main() -> ExitCode {
    let accept = std::env::args().any(|arg| arg == "--accept");
    match run(accept) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(accept: bool) -> Result<bool> {
    let (compiler, costs) = (count::compiler()?, count::costs()?);
    let now = Baseline { compiler, costs };
    if accept {
        now.write()?;
        println!("{} hot functions are the new baseline", now.costs.len());
        return Ok(true);
    }
    let before = Baseline::read()?;
    if before.compiler != now.compiler {
        println!(
            "skipped: instructions, which were counted with {}, not {}",
            before.compiler, now.compiler
        );
    }
    let (dearer, cheaper) = (now.dearer_than(&before), before.dearer_than(&now));
    for complaint in &dearer {
        eprintln!("{complaint}");
    }
    if dearer.is_empty() {
        println!("{} hot functions cost no more than before", now.costs.len());
        if !cheaper.is_empty() {
            println!("some cost less; `make guard-accept` holds that");
        }
    } else {
        eprintln!("If that is wanted, `make guard-accept` renews the baseline; commit it.");
    }
    Ok(dearer.is_empty())
}
