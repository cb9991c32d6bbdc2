//! The wish to shut down, for drivers of every kind: asked, awaited, or told by a call. And what still runs then.

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Clone, Default)]
pub(crate) struct Shutdown(Arc<Shared>);

/// The flag is beside the lock, as every turn of every connection looks at it. It is set under the lock, so that who
/// waits there is woken.
#[derive(Default)]
struct Shared {
    is_requested: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_key: u64,
    waiting: BTreeMap<u64, Waker>,
    calls: Vec<Box<dyn FnOnce() + Send>>,
}

impl Shutdown {
    pub(crate) fn request(&self) {
        let mut state = self.lock();
        self.0.is_requested.store(true, Ordering::SeqCst);
        let (waiting, calls) = (mem::take(&mut state.waiting), mem::take(&mut state.calls));
        drop(state);
        waiting.into_values().for_each(Waker::wake);
        for call in calls {
            call();
        }
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::SeqCst)
    }

    /// Calls it then, or now, from any thread.
    pub(crate) fn on_request(&self, call: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if self.is_requested() {
            drop(state);
            call();
        } else {
            state.calls.push(Box::new(call));
        }
    }

    /// Ready once it is requested, and never again: a loop waits for it in every round. Dropped, it leaves nothing
    /// behind.
    pub(crate) fn requested(&self) -> Requested {
        let mut state = self.lock();
        state.next_key += 1;
        Requested { shutdown: self.clone(), key: state.next_key, waker: None, was_ready: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Requested {
    shutdown: Shutdown,
    key: u64,
    /// What waits under this key.
    waker: Option<Waker>,
    was_ready: bool,
}

impl Future for Requested {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { shutdown, key, waker, was_ready } = &mut *self;
        if !shutdown.is_requested() && !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            let mut state = shutdown.lock();
            if !shutdown.is_requested() {
                state.waiting.insert(*key, context.waker().clone());
            }
            drop(state);
            *waker = Some(context.waker().clone());
        }
        if shutdown.is_requested() && !mem::replace(was_ready, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        self.shutdown.lock().waiting.remove(&self.key);
    }
}

/// Counts the tasks that run.
#[derive(Clone, Default)]
pub(crate) struct Tracker(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    count: usize,
    waiting: Option<Waker>,
}

impl Tracker {
    /// Counts this one, until it ends or is dropped.
    pub(crate) fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.lock().count += 1;
        let leaving = Leave(self.clone());
        async move {
            let _leaving = leaving;
            future.await
        }
    }

    /// Waits until none is left.
    pub(crate) async fn all_ended(&self) {
        std::future::poll_fn(|context| {
            let mut running = self.lock();
            if running.count == 0 {
                return Poll::Ready(());
            }
            running.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Leave(Tracker);

impl Drop for Leave {
    fn drop(&mut self) {
        let mut running = self.0.lock();
        running.count -= 1;
        let waiting = if running.count == 0 { running.waiting.take() } else { None };
        drop(running);
        waiting.into_iter().for_each(Waker::wake);
    }
}
