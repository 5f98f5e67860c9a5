//! Runs many things over all cores, each of them alone on one: results come in the order of what was asked.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Calls `work` for every item. `done` hears of each result as it comes, with its number, in no certain order.
///
/// A panic in `work` becomes an `Err` with its message, so that one run that breaks does not take the others along.
pub fn map<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    done: impl FnMut(usize, &Result<R, String>) + Send,
) -> Vec<Result<R, String>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<R, String>>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let done = Mutex::new(done);
    let one = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let result = catch_unwind(AssertUnwindSafe(|| work(item))).map_err(|panic| message(&*panic));
            (done.lock().expect("nobody panics in here"))(at, &result);
            *results[at].lock().expect("one thread alone") = Some(result);
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(one);
        }
    });
    let results = results.into_iter().map(|result| result.into_inner().expect("one thread alone"));
    results.map(|result| result.expect("every item was taken")).collect()
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_panic_is_one_result() {
        let items: Vec<u32> = (0..50).collect();
        let mut heard = 0;
        let results = map(&items, |item| if *item == 7 { panic!("seven") } else { item * 2 }, |_, _| heard += 1);
        assert_eq!(heard, 50);
        assert_eq!(results[7], Err("seven".into()));
        assert!(results.iter().enumerate().all(|(at, result)| at == 7 || *result == Ok(at as u32 * 2)));
        assert!(map(&[] as &[u32], |_| 0, |_, _| ()).is_empty());
    }
}
