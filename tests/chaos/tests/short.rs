//! A short cut of `make chaos`.

use anyhow::Result;
use chaos::Plan;

#[tokio::test(flavor = "multi_thread")]
async fn the_books_of_one_seed_balance() -> Result<()> {
    let plan = Plan { seed: 1, seconds: 20, kinds: Vec::new(), sabotage: None };
    let sums = chaos::run(&plan).await?;
    assert!(sums.balance(), "{}\n{}", chaos::report::Sums::HEAD, sums.line("1"));
    Ok(())
}
