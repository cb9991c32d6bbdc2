//! The wish to shut down, for drivers of every kind: asked, or awaited.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Clone, Default)]
pub(crate) struct Shutdown(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_requested: bool,
    next_key: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Shutdown {
    pub(crate) fn request(&self) {
        let mut state = self.lock();
        state.is_requested = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.lock().is_requested
    }

    /// Ready once it is requested. Dropped, it leaves nothing behind.
    pub(crate) fn requested(&self) -> Requested {
        let mut state = self.lock();
        state.next_key += 1;
        Requested { shutdown: self.clone(), key: state.next_key }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Requested {
    shutdown: Shutdown,
    key: u64,
}

impl Future for Requested {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shutdown.lock();
        if state.is_requested {
            return Poll::Ready(());
        }
        state.waiting.entry(self.key).or_insert_with(|| context.waker().clone()).clone_from(context.waker());
        Poll::Pending
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        self.shutdown.lock().waiting.remove(&self.key);
    }
}

/// A clone for each connection: `requested` is ready once the last of them is dropped.
#[derive(Clone)]
pub(crate) struct Alive {
    _last: Arc<RequestOnDrop>,
}

impl Alive {
    pub(crate) fn new() -> (Self, Requested) {
        let ended = Shutdown::default();
        let requested = ended.requested();
        (Self { _last: Arc::new(RequestOnDrop(ended)) }, requested)
    }
}

struct RequestOnDrop(Shutdown);

impl Drop for RequestOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}
