//! `switchboard-chaos`: seeds one after the other; fails if any books do not balance.

use std::process::ExitCode;

use anyhow::Result;
use chaos::{Plan, report::Sums, schedule::Kind};
use clap::Parser;

/// Hurts a stack of its own by a seeded schedule, and audits what its clients have seen.
#[derive(Debug, Parser)]
#[command(name = "switchboard-chaos", version)]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How many in a row
    #[arg(long, default_value_t = 1)]
    seeds: u64,

    /// Seconds of faults, for each
    #[arg(long, default_value_t = 45)]
    seconds: u64,

    /// Only faults of these kinds
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Kind>,

    /// What gateways built with the feature `sabotage` shall do wrong (repair, lease, order);
    /// succeeds only if the audit catches it
    #[arg(long)]
    sabotage: Option<String>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Arguments { seed: first, seeds, seconds, faults, sabotage } = Arguments::parse();
    let mut sums = Vec::new();
    for seed in first..first + seeds {
        let (kinds, sabotage) = (faults.clone(), sabotage.clone());
        let of_seed = chaos::run(&Plan { seed, seconds, kinds, sabotage }).await?;
        println!("{}\n{}", Sums::HEAD, of_seed.line(&seed.to_string()));
        sums.push((seed, of_seed));
    }
    println!("\n{}", Sums::HEAD);
    sums.iter().for_each(|(seed, sums)| println!("{}", sums.line(&seed.to_string())));
    println!("{}", sums.iter().map(|(_, sums)| *sums).sum::<Sums>().line("all"));
    let balance = sums.iter().all(|(_, sums)| sums.balance());
    Ok(if balance == sabotage.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
