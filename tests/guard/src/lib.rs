//! Counts what a hot function costs: allocations, their bytes, and under callgrind instructions.
//! Never time. `make guard` runs every test named `guard` and compares with `baseline.tsv`.

/// What [`measure`]'s lines begin with.
pub const MARK: &str = "guard:";

/// Callgrind counts while this runs, and dumps what it has counted when it returns.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
}

/// Counts what `work` costs on this thread, under a name of its own, and answers what it answers.
/// Its preparations belong before it, and what it answers is dropped by the caller.
pub fn measure<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let (mut work, mut answer) = (Some(work), None);
    let mut once = || answer = work.take().map(|work| work());
    let cost = allocation_counter::measure(|| counted_by_callgrind(&mut once));
    let process = std::process::id();
    println!("\n{MARK}\t{process}\t{name}\t{}\t{}", cost.count_total, cost.bytes_total);
    answer.expect("it has run")
}
