/// Lets others go first: the threads and processes that wait for this core, then the tasks that are
/// ready here. Whoever works on many things at once does so before it begins, and finds more of
/// them. On an idle core it returns at once.
pub async fn yield_core() {
    std::thread::yield_now();
    tokio::task::yield_now().await;
}
