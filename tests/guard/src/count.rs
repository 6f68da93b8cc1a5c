//! Runs the tests named `guard`, under callgrind where it is installed.

use std::{
    collections::{BTreeMap, HashMap},
    env::consts::ARCH,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::baseline::Cost;

/// Where callgrind puts what it counted.
const DUMPS: &str = ".local/guard";

/// What instructions depend on.
pub(crate) fn compiler() -> Result<String> {
    let version = Command::new("rustc").arg("--version").output().context("can't run rustc")?;
    Ok(format!("{} {ARCH}", String::from_utf8(version.stdout)?.trim()))
}

fn has_valgrind() -> bool {
    let mut version = Command::new("valgrind");
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Compiled as `make test` does it, so that both share every crate.
fn tests(with_callgrind: bool) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--lib", "--quiet"]);
    if with_callgrind {
        let dumps = Path::new(DUMPS).canonicalize().unwrap_or_default();
        // Of two options for the very same pattern callgrind knows only the last one.
        let runner = format!(
            "valgrind --quiet --tool=callgrind --callgrind-out-file={}/%p \
             --toggle-collect=*::counted_by_callgrind --dump-after=guard::counted_by_callgrind",
            dumps.display()
        );
        cargo.arg("--config").arg(format!("target.'cfg(all())'.runner='{runner}'"));
    }
    cargo.args(["--", "guard", "--ignored", "--nocapture", "--test-threads=1"]);
    cargo
}

/// Each function that is measured, and what it costs.
pub(crate) fn costs() -> Result<BTreeMap<String, Cost>> {
    let with_callgrind = has_valgrind();
    if !with_callgrind {
        println!("skipped: instructions, since valgrind is not installed (apt install valgrind)");
    }
    // Of the run before.
    let _ = fs::remove_dir_all(DUMPS);
    fs::create_dir_all(DUMPS)?;
    let out = tests(with_callgrind).stderr(Stdio::inherit()).output().context("can't run cargo")?;
    let out_text = String::from_utf8_lossy(&out.stdout);
    ensure!(out.status.success(), "the tests named guard failed:\n{out_text}");
    let (mut costs, mut dumps) = (BTreeMap::new(), HashMap::<_, u32>::new());
    for line in out_text.lines().filter_map(|line| line.strip_prefix(guard::MARK)) {
        let columns: Vec<_> = line.trim_start().split('\t').collect();
        let [process, name, allocations, bytes] = columns[..] else { continue };
        let number = dumps.entry(process).or_default();
        *number += 1;
        let instructions =
            with_callgrind.then(|| instructions(&format!("{DUMPS}/{process}.{number}")));
        let cost = Cost {
            allocations: allocations.parse()?,
            bytes: bytes.parse()?,
            instructions: instructions.transpose()?,
        };
        ensure!(costs.insert(name.to_owned(), cost).is_none(), "two functions are named `{name}`");
    }
    Ok(costs)
}

/// What callgrind counted up to one dump, since the one before.
fn instructions(dump: &str) -> Result<u64> {
    let text = fs::read_to_string(dump).with_context(|| format!("can't read {dump}"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind has told no total")
}
