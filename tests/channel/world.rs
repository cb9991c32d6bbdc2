//! A driver, a client that follows a script, and the tasks of an application; what is done next is chosen.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::BytesMut;
use sansgi::{Action, Channel, Config, Connection, Driver, ExchangeId, Instant, Wait};

use crate::schedule::{Schedule, Task, yield_now};

/// More polls than this on one way are a loop without end.
const MOST_STEPS: usize = 200;

/// What the client does, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    Bytes(&'static [u8]),
    Eof,
    /// A reset.
    Lost,
}

/// What happens to the driver from outside.
#[derive(Clone, Copy, Debug)]
enum Event {
    Input(Input),
    /// The socket takes so many bytes.
    Room(usize),
    Deadline(Instant),
}

/// What may happen once on a way, at any step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    /// A task is polled that was not woken.
    pub(crate) spurious: usize,
    /// What a task waits for is dropped.
    pub(crate) cancel: usize,
    /// The driver is dropped.
    pub(crate) drop_driver: usize,
    /// Nothing comes until the deadline.
    pub(crate) deadline: usize,
}

/// What all of a world share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) now: Cell<Instant>,
    pub(crate) written: RefCell<Vec<u8>>,
    /// Told by the driver: exchanges that began, and that are over.
    pub(crate) started: RefCell<Vec<ExchangeId>>,
    pub(crate) over: RefCell<Vec<ExchangeId>>,
    /// For a look at what the driver and the channels share.
    channel: RefCell<Option<Channel>>,
    /// What the driver was told to wait for last, whether it does, and the event that has come.
    wait: Cell<Wait>,
    waits: Cell<bool>,
    event: Cell<Option<Event>>,
    driver: RefCell<Option<Waker>>,
}

pub(crate) struct World {
    pub(crate) shared: Rc<Shared>,
    pub(crate) driver: Task,
    pub(crate) tasks: Vec<Task>,
    started: Rc<RefCell<Vec<Task>>>,
    script: &'static [Input],
    chances: Chances,
    /// Bytes that the socket takes at a time.
    room: usize,
}

/// The tasks that an exchange begins with.
pub(crate) type Application = Rc<dyn Fn(Channel) -> Vec<Task>>;

#[derive(Clone, Copy)]
enum Step {
    Driver,
    Task(usize),
    Event(Event),
    Spurious(usize),
    SpuriousDriver,
    Cancel(usize),
    DropDriver,
}

impl World {
    pub(crate) fn new(config: &Arc<Config>, looks: bool, script: &'static [Input], application: Application) -> Self {
        let shared = Rc::new(Shared::default());
        let started = Rc::new(RefCell::default());
        let driver = Driver::new(Connection::new(Arc::clone(config)));
        let driver =
            Task::new("driver", |_| drive(driver, looks, Rc::clone(&shared), application, Rc::clone(&started)));
        Self { shared, driver, tasks: Vec::new(), started, script, chances: Chances::default(), room: usize::MAX }
    }

    pub(crate) fn with(mut self, chances: Chances) -> Self {
        self.chances = chances;
        self
    }

    pub(crate) fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// One way to its end: there is nobody left who could be polled, and nothing that could happen. False if it was not
    /// gone on with.
    #[must_use]
    pub(crate) fn run(&mut self, schedule: &mut Schedule) -> bool {
        for _ in 0..MOST_STEPS {
            let steps = self.steps();
            // What only may happen does not keep the world going.
            if !steps.iter().any(|step| matches!(step, Step::Driver | Step::Task(_) | Step::Event(_))) {
                return true;
            }
            let branch = if steps.len() == 1 { Some(0) } else { schedule.choose(steps.len(), || self.state()) };
            let Some(branch) = branch else { return false };
            self.take(steps[branch]);
            self.tasks.append(&mut self.started.borrow_mut());
        }
        panic!("no end after {MOST_STEPS} steps");
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let tasks = || self.tasks.iter().enumerate();
        if self.driver.is_woken() {
            steps.push(Step::Driver);
        }
        steps.extend(tasks().filter(|(_, task)| task.is_woken()).map(|(at, _)| Step::Task(at)));
        if !self.driver.is_done() && self.shared.waits.get() {
            let wait = self.shared.wait.get();
            if wait.read
                && let Some(&input) = self.script.first()
            {
                steps.push(Step::Event(Event::Input(input)));
            }
            if wait.write {
                steps.push(Step::Event(Event::Room(self.room)));
            }
            if let Some(deadline) = wait.deadline.filter(|_| self.chances.deadline > 0) {
                steps.push(Step::Event(Event::Deadline(deadline)));
            }
            if self.chances.spurious > 0 && !self.driver.is_woken() {
                steps.push(Step::SpuriousDriver);
            }
        }
        if self.chances.spurious > 0 {
            steps.extend(tasks().filter(|(_, task)| task.sleeps()).map(|(at, _)| Step::Spurious(at)));
        }
        if self.chances.cancel > 0 {
            steps.extend(tasks().filter(|(_, task)| task.waits()).map(|(at, _)| Step::Cancel(at)));
        }
        if self.chances.drop_driver > 0 && !self.driver.is_done() {
            steps.push(Step::DropDriver);
        }
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Driver => self.driver.poll(),
            Step::Task(at) => self.tasks[at].poll(),
            Step::Event(event) => {
                match event {
                    Event::Input(_) => self.script = &self.script[1..],
                    Event::Room(_) => {}
                    Event::Deadline(_) => self.chances.deadline -= 1,
                }
                self.shared.event.set(Some(event));
                let waker = self.shared.driver.take();
                waker.expect("it waits").wake();
                self.driver.poll();
            }
            Step::Spurious(at) => {
                self.chances.spurious -= 1;
                self.tasks[at].poll_spuriously();
            }
            Step::SpuriousDriver => {
                self.chances.spurious -= 1;
                self.driver.poll_spuriously();
            }
            Step::Cancel(at) => {
                self.chances.cancel -= 1;
                self.tasks[at].cancel();
            }
            Step::DropDriver => {
                self.chances.drop_driver -= 1;
                self.driver.abort();
            }
        }
    }

    /// All that decides how it goes on. What a channel shares is seen through its `Debug`, where a waker is an address:
    /// that of a task's last poll, or one that wakes nobody any more.
    fn state(&self) -> String {
        let Shared { now, written, started, over, wait, waits, event, channel, .. } = &*self.shared;
        let mut state = format!("{:?} {:?} {:?}", written.borrow(), started.borrow(), over.borrow());
        let (event, inputs, chances) = (event.get(), self.script.len(), self.chances);
        writeln!(state, "{now:?} {wait:?} {waits:?} {event:?} {inputs} {chances:?}").unwrap();
        let tasks = || [&self.driver].into_iter().chain(&self.tasks);
        for task in tasks() {
            state += &task.state();
        }
        let Some(channel) = &*channel.borrow() else { return state };
        let inner = format!("{channel:?}");
        for (at, mut piece) in inner.split("data: 0x").enumerate() {
            if at > 0 {
                let digits = piece.len() - piece.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()).len();
                let (address, rest) = piece.split_at(digits);
                let address = usize::from_str_radix(address, 16).expect("an address");
                write!(state, "{:?}", tasks().position(|task| task.has_waker_at(address))).unwrap();
                piece = rest;
            }
            // A key names a place for the future that has it: which number it is decides nothing.
            let mut parts = piece.split("key: ");
            state += parts.next().unwrap_or_default();
            parts.for_each(|part| state += part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
        }
        state
    }

    /// "nobody waits for ever".
    pub(crate) fn assert_all_done(&self) {
        for task in self.tasks.iter().chain([&self.driver]) {
            assert!(task.is_done(), "{} waits for ever", task.name);
        }
    }
}

/// A driver whose inputs come in their order. One that `looks` locks the connection once more before it sleeps, as for
/// a kernel that fills a buffer.
async fn drive(
    mut driver: Driver,
    looks: bool,
    shared: Rc<Shared>,
    application: Application,
    started: Rc<RefCell<Vec<Task>>>,
) {
    loop {
        let action = driver.lock().next_action(shared.now.get());
        match action {
            Action::Wait(wait) => shared.wait.set(wait),
            Action::Start(id, _) => {
                shared.started.borrow_mut().push(id);
                shared.channel.replace(Some(driver.channel(id)));
                // The driver goes on before its tasks run, or after: they are woken like any other.
                started.borrow_mut().extend(application(driver.channel(id)));
                continue;
            }
            Action::Disconnect(id) => {
                shared.over.borrow_mut().push(id);
                continue;
            }
            Action::Close { .. } => return,
            _ => continue,
        }
        // What a task does now, the driver must hear of, whatever it locks the connection for.
        yield_now().await;
        let mut buffer = if looks { driver.lock().read_buffer() } else { BytesMut::new() };
        let event = poll_fn(|context| {
            if driver.poll_changed(context).is_ready() {
                shared.waits.set(false);
                return Poll::Ready(None);
            }
            if let Some(event) = shared.event.take() {
                shared.waits.set(false);
                return Poll::Ready(Some(event));
            }
            shared.waits.set(true);
            shared.driver.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        match event {
            None => {}
            Some(Event::Input(Input::Bytes(bytes))) => {
                buffer.extend_from_slice(bytes);
                driver.lock().handle_read(buffer);
            }
            Some(Event::Input(Input::Eof)) => driver.lock().handle_eof(),
            Some(Event::Input(Input::Lost)) => driver.lock().handle_disconnect(),
            Some(Event::Deadline(deadline)) => shared.now.set(deadline),
            Some(Event::Room(room)) => {
                let mut conn = driver.lock();
                let bytes: Vec<u8> = conn.outgoing().flatten().copied().take(room).collect();
                conn.handle_written(bytes.len());
                shared.written.borrow_mut().extend(bytes);
            }
        }
    }
}
