//! The applications of one connection, polled by whoever drives it: within its task, or where there is no runtime.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use sansgi::{Channel, Instant, Request};

use super::App;

/// More than one, where an application goes on after its response.
#[derive(Default)]
pub(crate) struct Applications(Vec<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Applications {
    pub(crate) fn start(&mut self, application: impl Future<Output = ()> + Send + 'static) {
        self.0.push(Box::pin(application));
    }

    /// Each goes on as far as it can. One that panics has ended, and its exchange with it; the others go on. False if
    /// there is none.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let are_any = !self.is_empty();
        self.0.retain_mut(|application| {
            catch_unwind(AssertUnwindSafe(|| application.as_mut().poll(context)))
                .is_ok_and(|answer| answer.is_pending())
        });
        are_any
    }

    /// Waits until none is left.
    pub(crate) async fn ended(&mut self) {
        poll_fn(|context| {
            self.poll(context);
            if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Applications for a driver that has no runtime: it learns when to poll them.
pub(crate) struct Tasks {
    running: Applications,
    woken: Arc<Woken>,
    clock: Arc<Alarms>,
}

struct Woken {
    is_woken: AtomicBool,
    notify: Box<dyn Fn() + Send + Sync>,
}

struct Alarms {
    now: Box<dyn Fn() -> Instant + Send + Sync>,
    /// When the first sleep ends.
    first: Mutex<Option<Instant>>,
}

impl Tasks {
    /// `notify` is called when they should be polled again: from any thread, and during calls of the driver too.
    pub(crate) fn new(
        now: impl Fn() -> Instant + Send + Sync + 'static,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            running: Applications::default(),
            woken: Arc::new(Woken { is_woken: AtomicBool::new(false), notify: Box::new(notify) }),
            clock: Arc::new(Alarms { now: Box::new(now), first: Mutex::new(None) }),
        }
    }

    /// It begins with the next `poll`, which is to follow: nobody is notified.
    pub(crate) fn start(&mut self, app: &App, channel: Channel, request: Request) {
        let clock = Arc::clone(&self.clock);
        let sleep = move |duration| {
            let clock = Arc::clone(&clock);
            let until = (clock.now)() + duration;
            poll_fn(move |_| clock.poll_until(until))
        };
        self.running.start(app.clone().run(channel, request, sleep));
        self.woken.is_woken.store(true, Ordering::SeqCst);
    }

    /// Where something has happened for them, each goes on as far as it can; then the connection is to be asked again.
    pub(crate) fn poll(&mut self) -> bool {
        let is_due = self.alarm().is_some_and(|alarm| alarm <= (self.clock.now)());
        if !self.woken.is_woken.swap(false, Ordering::SeqCst) && !is_due {
            return false;
        }
        self.clock.clear();
        let waker = self.waker();
        self.running.poll(&mut Context::from_waker(&waker));
        true
    }

    /// Poll again then, if nothing happens before.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        *self.clock.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has them polled as if something had happened.
    pub(crate) fn waker(&self) -> Waker {
        Arc::clone(&self.woken).into()
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.woken.is_woken.load(Ordering::SeqCst)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            (self.notify)();
        }
    }
}

impl Alarms {
    fn poll_until(&self, until: Instant) -> Poll<()> {
        if (self.now)() >= until {
            return Poll::Ready(());
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some(first.map_or(until, |first| first.min(until)));
        Poll::Pending
    }

    /// All that still sleep say so when they are polled.
    fn clear(&self) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
