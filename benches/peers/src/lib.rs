//! A transport of memory and an executor of one task, for the servers that need both.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};

use harness::Wire;

/// What has arrived and was not read yet, and what was written. Both ends are in one thread.
#[derive(Clone, Debug, Default)]
pub struct Transport(Rc<RefCell<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    arrived: &'static [u8],
    wire: Wire,
}

impl Transport {
    /// These bytes arrive.
    pub fn arrive(&self, bytes: &'static [u8]) {
        let mut ends = self.0.borrow_mut();
        assert!(ends.arrived.is_empty(), "all that came before was read");
        ends.arrived = bytes;
    }

    /// At most as many of the bytes that arrived; none means to wait.
    pub fn read(&self, most: usize) -> &'static [u8] {
        let mut ends = self.0.borrow_mut();
        let (read, rest) = ends.arrived.split_at(most.min(ends.arrived.len()));
        ends.arrived = rest;
        read
    }

    pub fn write(&self, bytes: &[u8]) {
        self.0.borrow_mut().wire.write(bytes);
    }

    /// The application received this part of a body.
    pub fn received(&self, part: &[u8]) {
        self.0.borrow_mut().wire.received(part);
    }

    pub fn with_wire<R>(&self, look: impl FnOnce(&mut Wire) -> R) -> R {
        look(&mut self.0.borrow_mut().wire)
    }
}

/// Polls one task for as long as it wakes itself.
#[derive(Debug)]
pub struct Executor {
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl Default for Executor {
    fn default() -> Self {
        let woken = Arc::new(Woken::default());
        Self { waker: Waker::from(Arc::clone(&woken)), woken }
    }
}

impl Executor {
    pub fn run(&self, mut poll: impl FnMut(&mut Context<'_>)) {
        self.woken.0.store(true, Relaxed);
        while self.woken.0.load(Relaxed) {
            self.woken.0.store(false, Relaxed);
            poll(&mut Context::from_waker(&self.waker));
        }
    }
}
