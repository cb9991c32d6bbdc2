//! A deterministic executor that takes every way through a world of a few tasks: depth first, by running it again from
//! its beginning for each way, since futures cannot be cloned.
//!
//! The unit is one poll. Each operation of a channel is one critical section, and the tasks yield between two of them,
//! so what threads could do is among the ways that are taken: a mutex puts their sections into some order.
//!
//! There are soon billions of ways. So a way that comes to a state in which another was before is not gone on with: it
//! is known in how many ways that goes on, and that each of them ends well. `merging_loses_nothing` counts both ways.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::future::{Future, poll_fn};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// One way, and what is known of the others.
#[derive(Default)]
pub(crate) struct Schedule {
    forks: Vec<Fork>,
    at: usize,
    /// From each state: how many ways there are.
    known: Option<HashMap<State, u128>>,
    /// In how many ways the current one goes on, as it is not gone on with.
    merged: Option<u128>,
}

struct Fork {
    state: Option<State>,
    branch: usize,
    branches: usize,
    /// In all branches that were taken.
    ways: u128,
}

/// A hash of all that decides how it goes on: long enough that no two are equal by chance.
type State = [u64; 2];

/// What all ways came to.
pub(crate) struct Explored {
    pub(crate) ways: u128,
    /// Ways that were taken, to their end or to a known state.
    pub(crate) runs: usize,
    pub(crate) states: usize,
}

impl Schedule {
    /// The branch to take now; `None` if it is known how all of them go on.
    pub(crate) fn choose(&mut self, branches: usize, state: impl FnOnce() -> String) -> Option<usize> {
        assert!(branches > 0, "nothing to choose from");
        if self.at == self.forks.len() {
            let state = self.known.is_some().then(|| {
                let text = state();
                [0, 1].map(|seed: u8| {
                    let mut hasher = DefaultHasher::new();
                    (seed, &text).hash(&mut hasher);
                    hasher.finish()
                })
            });
            self.merged = state.and_then(|state| self.known.as_ref()?.get(&state).copied());
            if self.merged.is_some() {
                return None;
            }
            self.forks.push(Fork { state, branch: 0, branches, ways: 0 });
        }
        let fork = &self.forks[self.at];
        assert_eq!(fork.branches, branches, "the same way led elsewhere before: the world is not deterministic");
        self.at += 1;
        Some(fork.branch)
    }

    /// The next way; or how many there were.
    fn advance(&mut self) -> Option<u128> {
        self.at = 0;
        let mut ways = self.merged.take().unwrap_or(1);
        while let Some(fork) = self.forks.last_mut() {
            fork.ways += ways;
            fork.branch += 1;
            if fork.branch < fork.branches {
                return None;
            }
            ways = fork.ways;
            if let (Some(known), Some(state)) = (&mut self.known, fork.state) {
                known.insert(state, ways);
            }
            self.forks.pop();
        }
        Some(ways)
    }
}

/// Takes all ways, merged or not. `run` takes one, and judges where it led, if it led to an end.
pub(crate) fn every_way(merge: bool, mut run: impl FnMut(&mut Schedule)) -> Explored {
    let mut schedule = Schedule { known: merge.then(HashMap::new), ..Schedule::default() };
    let mut runs = 0;
    loop {
        runs += 1;
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut schedule)));
        if let Err(panic) = taken {
            let branches: Vec<_> = schedule.forks.iter().take(schedule.at).map(|fork| fork.branch).collect();
            eprintln!("way {runs} leads astray, by the branches {branches:?}");
            std::panic::resume_unwind(panic);
        }
        if let Some(ways) = schedule.advance() {
            return Explored { ways, runs, states: schedule.known.map_or(0, |known| known.len()) };
        }
    }
}

/// What executor and task know of each other.
#[derive(Default)]
pub(crate) struct Signal {
    is_woken: AtomicBool,
    /// Which poll it is in, or was in last.
    polls: AtomicUsize,
    /// It is pending in an operation, not between two.
    waits: AtomicBool,
    /// The operation it waits in is to be dropped.
    cancel: AtomicBool,
    /// It was not woken, but is polled all the same.
    is_spurious: AtomicBool,
    /// Polls to which it was woken, and after which it waited for the same as before.
    futile: AtomicUsize,
    /// What its operations have answered: with this, a task knows what it does next.
    answers: Mutex<String>,
}

impl Signal {
    pub(crate) fn futile(&self) -> usize {
        self.futile.load(Ordering::SeqCst)
    }

    /// Lets the others go first, or not.
    pub(crate) async fn yields(&self) {
        *self.answers.lock().unwrap() += "|"; // else it would look as before
        yield_now().await;
    }

    /// An operation that may be dropped while it waits: then `None`.
    pub(crate) async fn watch<T: Debug>(&self, operation: impl Future<Output = T> + Unpin) -> Option<T> {
        let mut operation = Some(operation);
        let mut has_waited = false;
        poll_fn(|context| {
            if self.cancel.swap(false, Ordering::SeqCst) {
                operation = None;
            }
            let answer = match &mut operation {
                Some(operation) => Pin::new(operation).poll(context).map(Some),
                None => Poll::Ready(None),
            };
            if answer.is_pending() && has_waited && !self.is_spurious.load(Ordering::SeqCst) {
                self.futile.fetch_add(1, Ordering::SeqCst);
            }
            has_waited = true;
            self.waits.store(answer.is_pending(), Ordering::SeqCst);
            if let Poll::Ready(answer) = &answer {
                write!(self.answers.lock().unwrap(), "{answer:?};").unwrap();
            }
            answer
        })
        .await
    }
}

pub(crate) async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) signal: Arc<Signal>,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Of its last poll: kept, so that no other is at its address.
    waker: Option<Waker>,
}

impl Task {
    pub(crate) fn new<F: Future<Output = ()> + 'static>(
        name: &'static str,
        begin: impl FnOnce(Arc<Signal>) -> F,
    ) -> Self {
        let signal = Arc::new(Signal::default());
        signal.is_woken.store(true, Ordering::SeqCst);
        let future = begin(Arc::clone(&signal));
        Self { name, signal, future: Some(Box::pin(future)), waker: None }
    }

    /// All that it is, but where its waker is.
    pub(crate) fn state(&self) -> String {
        let Signal { is_woken, waits, answers, futile, .. } = &*self.signal;
        format!("{} {} {is_woken:?} {waits:?} {futile:?} {:?}", self.name, self.is_done(), answers.lock().unwrap())
    }

    pub(crate) fn has_waker_at(&self, address: usize) -> bool {
        self.waker.as_ref().is_some_and(|waker| waker.data().addr() == address)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.future.is_none()
    }

    pub(crate) fn is_woken(&self) -> bool {
        !self.is_done() && self.signal.is_woken.load(Ordering::SeqCst)
    }

    /// Pending in an operation, and not woken.
    pub(crate) fn sleeps(&self) -> bool {
        !self.is_done() && !self.is_woken() && self.signal.waits.load(Ordering::SeqCst)
    }

    /// Pending in an operation, woken or not.
    pub(crate) fn waits(&self) -> bool {
        !self.is_done() && self.signal.waits.load(Ordering::SeqCst)
    }

    pub(crate) fn poll(&mut self) {
        self.signal.is_woken.store(false, Ordering::SeqCst);
        let poll = self.signal.polls.fetch_add(1, Ordering::SeqCst) + 1;
        let waker = Waker::from(Arc::new(Relay { signal: Arc::clone(&self.signal), poll }));
        if let Some(future) = &mut self.future
            && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            self.future = None;
        }
        self.waker = Some(waker);
    }

    pub(crate) fn poll_spuriously(&mut self) {
        self.signal.is_spurious.store(true, Ordering::SeqCst);
        self.poll();
        self.signal.is_spurious.store(false, Ordering::SeqCst);
    }

    /// Its operation is dropped, and it goes on.
    pub(crate) fn cancel(&mut self) {
        self.signal.cancel.store(true, Ordering::SeqCst);
        self.poll();
    }

    /// All of it is dropped.
    pub(crate) fn abort(&mut self) {
        self.future = None;
    }
}

/// "only the `Waker` from the `Context` passed to the most recent call should be scheduled to receive a wakeup"
/// (`Future`'s documentation): here the others do nothing.
struct Relay {
    signal: Arc<Signal>,
    poll: usize,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        if self.signal.polls.load(Ordering::SeqCst) == self.poll {
            self.signal.is_woken.store(true, Ordering::SeqCst);
        }
    }
}
