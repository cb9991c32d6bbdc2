//! What the pages of `docs/` say, its tables first, seen from outside; and that what they name is there.

use std::time::Duration;

use sansgi::{
    Action, CloseReason, Config, Connection, Date, ExchangeId, HalfClose, Instant, Limits, Outcome, ReceiveEvent,
    SendError, SendEvent, Timeouts, Wait,
};

const PAGE: &str = include_str!("../docs/actions.md");
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const PUT: &[u8] = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab";
const CHUNKED: &[u8] = b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n";
const START: SendEvent<'_> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };

/// The rows below the heading of this column, without the code marks.
fn rows(first_column: &str) -> Vec<Vec<String>> {
    let below = PAGE.lines().skip_while(|line| !line.starts_with(&format!("| {first_column} |")));
    let table = below.skip(2).take_while(|line| line.starts_with('|'));
    table.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// A connection, what its driver was told, and what it wrote.
struct Scene {
    conn: Connection,
    now: Instant,
    told: Vec<&'static str>,
    wrote: Vec<u8>,
    /// The client reads nothing.
    is_stuck: bool,
}

impl Scene {
    fn new(config: Config) -> Self {
        let conn = Connection::new(config);
        Self { conn, now: Instant::ZERO, told: Vec::new(), wrote: Vec::new(), is_stuck: false }
    }

    fn reads(mut self, bytes: &[u8]) -> Self {
        self.conn.handle_bytes(bytes);
        self
    }

    fn starts(&mut self) -> ExchangeId {
        match self.conn.next_action(self.now) {
            Action::Start(id, _) => id,
            other => panic!("{other:?}"),
        }
    }

    fn sends(&mut self, id: ExchangeId, event: SendEvent<'_>) {
        self.conn.exchange(id).send(event).unwrap();
    }

    fn sends_body(&mut self, id: ExchangeId, body: &'static str, more_body: bool) {
        self.sends(id, SendEvent::ResponseBody { body: body.into(), more_body });
    }

    /// Drives it to its end; at each deadline nothing has happened.
    fn runs(&mut self) {
        loop {
            match self.conn.next_action(self.now) {
                Action::Disconnect(_) => self.told.push("Disconnect"),
                Action::Shutdown => self.told.push("Shutdown"),
                Action::Switch { .. } => return self.told.push("Switch"),
                Action::Close { reset } => return self.told.push(if reset { "Close with reset" } else { "Close" }),
                Action::Wait(wait) if wait.write && !self.is_stuck => {
                    let chunk = self.conn.take_outgoing().unwrap();
                    self.wrote.extend_from_slice(&chunk);
                    self.conn.handle_written(chunk.len());
                }
                Action::Transfer { .. } => self.conn.handle_transfer_failed(),
                Action::Wait(wait) => self.now = wait.deadline.expect("something happens some day"),
                other => panic!("{other:?}"),
            }
        }
    }

    fn told(&self) -> String {
        self.told.join(", ")
    }

    fn reason(&self) -> String {
        let reason = format!("{:?}", self.conn.close_reason().expect("it has ended"));
        if reason.starts_with("Fault(") { "Fault(_)".into() } else { reason }
    }

    fn status(&self) -> String {
        String::from_utf8_lossy(self.wrote.get(9..12).unwrap_or_default()).into_owned()
    }
}

fn scene(bytes: &[u8]) -> Scene {
    Scene::new(Config::default()).reads(bytes)
}

fn aborts() -> Config {
    Config::builder().half_close(HalfClose::Abort).build().unwrap()
}

/// One for each row of "The ends", in its order.
fn ends() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut play = |mut scene: Scene, act: &dyn Fn(&mut Scene)| {
        act(&mut scene);
        scene.runs();
        scenes.push(scene);
    };
    play(scene(b"GET / HT"), &|scene| scene.conn.handle_eof());
    play(scene(PUT), &|scene| {
        scene.starts();
        scene.conn.handle_eof();
    });
    play(scene(PUT), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", true);
        scene.conn.handle_eof();
    });
    play(Scene::new(aborts()).reads(GET), &|scene| {
        scene.starts();
        scene.conn.handle_eof();
    });
    play(Scene::new(aborts()).reads(GET), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", true);
        scene.conn.handle_eof();
    });
    play(scene(GET), &|scene| {
        scene.starts();
        scene.conn.handle_disconnect();
    });
    play(scene(b"GET /\r\n"), &|_| {});
    play(scene(CHUNKED).reads(b"?"), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", true);
        while scene.conn.exchange(id).receive().is_ready_part() {}
    });
    play(scene(b""), &|_| {});
    play(scene(GET), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", true);
        scene.is_stuck = true;
    });
    play(scene(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n"), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", false);
    });
    play(scene(b"GET / HTTP/1.0\r\n\r\n"), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", false);
    });
    play(scene(GET), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends(id, SendEvent::ResponsePart { token: 1, len: 1, more_body: false });
    });
    play(scene(GET), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        assert_eq!(scene.conn.exchange(id).end(), Outcome::Failed);
    });
    play(scene(GET), &|scene| {
        let id = scene.starts();
        scene.sends(id, START);
        scene.sends_body(id, "x", true);
        assert_eq!(scene.conn.exchange(id).end(), Outcome::Failed);
    });
    play(scene(b""), &|scene| scene.conn.handle_shutdown());
    play(scene(GET), &|scene| {
        let id = scene.starts();
        scene.conn.handle_shutdown();
        scene.sends(id, START);
        scene.sends_body(id, "x", false);
    });
    play(scene(GET), &|scene| {
        scene.starts();
        scene.conn.handle_shutdown();
    });
    play(scene(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"), &|scene| {
        let id = scene.starts();
        scene.sends(id, SendEvent::ResponseStart { status: 101, headers: &[(b"upgrade", b"x")], trailers: false });
    });
    scenes
}

trait IsReadyPart {
    fn is_ready_part(&self) -> bool;
}

impl IsReadyPart for std::task::Poll<ReceiveEvent> {
    fn is_ready_part(&self) -> bool {
        matches!(self, std::task::Poll::Ready(ReceiveEvent::Request { .. }))
    }
}

#[test]
fn the_ends_are_as_the_page_says() {
    let played: Vec<_> = ends().iter().map(|scene| (scene.reason(), scene.told())).collect();
    let page: Vec<_> =
        rows("`close_reason()` | what has happened").into_iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    assert_eq!(played, page);
}

/// What a row of "The deadlines" says, from what was told and written.
fn deadline(mut scene: Scene) -> (String, String) {
    scene.runs();
    let mut told = Vec::new();
    for one in &scene.told {
        if *one == "Shutdown" {
            told.push(format!("a {} to write", scene.status()));
        }
        told.push(one.replace("with reset", "with a reset"));
    }
    (told.join(", "), format!("{:?}", scene.conn.close_reason().unwrap()))
}

#[test]
fn the_deadlines_are_as_the_page_says() {
    let waits_for_body = |is_out: bool, timeouts: Timeouts| {
        let mut scene = Scene::new(Config::builder().timeouts(timeouts).build().unwrap()).reads(PUT);
        let id = scene.starts();
        if is_out {
            scene.sends(id, START);
            scene.sends_body(id, "x", true);
        }
        while scene.conn.exchange(id).receive().is_ready_part() {}
        scene
    };
    let shuts_down = |is_out: bool| {
        let mut scene = scene(GET);
        let id = scene.starts();
        if is_out {
            scene.sends(id, START);
            scene.sends_body(id, "x", true);
        }
        scene.conn.handle_shutdown();
        scene
    };
    let mut stuck = scene(GET);
    let id = stuck.starts();
    stuck.sends(id, START);
    stuck.sends_body(id, "x", true);
    stuck.is_stuck = true;

    let slow = Timeouts::default().body(Duration::MAX);
    let rate = waits_for_body(false, slow);
    let body = deadline(waits_for_body(false, Timeouts::default()));
    assert_eq!(deadline(rate), (body.0.clone(), "Fault(BodyRate)".into()));
    let played = [
        ("idle", deadline(scene(b""))),
        ("head", deadline(scene(b"G"))),
        ("body, and the response's head is not out", body),
        ("body, and it is out", deadline(waits_for_body(true, Timeouts::default()))),
        ("body rate", ("as body".into(), "Fault(BodyRate)".into())),
        ("write", deadline(stuck)),
        ("linger", ("Close".into(), "what it was before".into())),
        ("shutdown, and the response's head is not out", deadline(shuts_down(false))),
        ("shutdown, and it is out", deadline(shuts_down(true))),
    ];
    let played = played.map(|(name, (told, reason))| [name.to_owned(), told, reason]);
    assert_eq!(rows("deadline | what you are told when it has come"), played);

    // The linger's row: a fault's 400 is written, and the client neither sends nor closes.
    let mut lingers = scene(b"?\r\n");
    lingers.runs();
    assert_eq!(lingers.told, ["Shutdown", "Close"]);
    assert_eq!(lingers.now, Instant::ZERO + Duration::from_secs(5), "the page says 5 s");
    assert!(lingers.reason().starts_with("Fault"));
}

#[test]
fn the_outcomes_are_as_the_page_says() {
    let with = |bytes: &[u8], act: &dyn Fn(&mut Scene, ExchangeId)| {
        let mut scene = scene(bytes);
        let id = scene.starts();
        act(&mut scene, id);
        let _ = scene.conn.exchange(id).receive();
        let outcome = scene.conn.exchange(id).outcome().map_or("None".into(), |outcome| format!("{outcome:?}"));
        let part = SendEvent::ResponseBody { body: "x".into(), more_body: true };
        let sent = match scene.conn.exchange(id).send(part) {
            Ok(()) => "taken",
            Err(SendError::Complete) => "Complete",
            Err(SendError::Disconnected) => "Disconnected",
            Err(other) => panic!("{other}"),
        };
        [outcome, sent.to_owned()]
    };
    let played = [
        with(GET, &|scene, id| scene.sends(id, START)),
        with(GET, &|scene, id| {
            scene.sends(id, START);
            assert!(scene.conn.exchange(id).receive().is_ready_part());
            scene.conn.handle_eof();
        }),
        with(GET, &|scene, id| {
            scene.sends(id, START);
            scene.sends_body(id, "x", false);
        }),
        with(GET, &|scene, _| scene.conn.handle_disconnect()),
        with(CHUNKED, &|scene, id| {
            scene.conn.handle_bytes(b"?");
            while scene.conn.exchange(id).receive().is_ready_part() {}
        }),
        with(PUT, &|scene, id| {
            while scene.conn.exchange(id).receive().is_ready_part() {}
            scene.runs();
        }),
        with(GET, &|scene, id| {
            scene.conn.exchange(id).end();
        }),
        with(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", &|scene, id| {
            scene.sends(id, SendEvent::ResponseStart { status: 101, headers: &[(b"upgrade", b"x")], trailers: false });
        }),
    ];
    let page = rows("`outcome()`").into_iter().map(|row| [row[0].clone(), row[2].clone()]);
    assert_eq!(page.collect::<Vec<_>>(), played);
}

/// "A part that must not be sent is never asked for", and the connection goes on; "not at `Disconnect`".
#[test]
fn tokens_are_asked_for_as_the_page_says() {
    let tokens = |request: &[u8], status: u16| {
        let mut scene = scene(request);
        let id = scene.starts();
        scene.sends(id, SendEvent::ResponseStart { status, headers: &[], trailers: false });
        scene.sends(id, SendEvent::ResponsePart { token: 1, len: 1, more_body: false });
        let mut log = Vec::new();
        loop {
            match scene.conn.next_action(Instant::ZERO) {
                Action::Disconnect(_) => log.push("disconnect"),
                Action::Transfer { .. } => {
                    log.push("transfer");
                    scene.conn.handle_written(1);
                }
                Action::Wait(wait) if wait.write => {
                    let head = scene.conn.outgoing().map(<[u8]>::len).sum();
                    scene.conn.handle_written(head);
                }
                Action::Wait(wait) => {
                    assert!(wait.read && wait.deadline.is_some(), "the next request is awaited");
                    return log;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(tokens(GET, 200), ["disconnect", "transfer"]);
    assert_eq!(tokens(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", 200), ["disconnect"]);
    for status in [204, 205, 304] {
        assert_eq!(tokens(GET, status), ["disconnect"], "{status}");
    }
}

#[test]
fn the_waits_are_as_the_page_says() {
    let small = Limits::default().read_buffer_bytes(4).high_water_bytes(1);
    let small = Config::builder().limits(small).build().unwrap();
    let wait = |scene: &mut Scene| match scene.conn.next_action(scene.now) {
        Action::Wait(wait) => {
            let yes = |is: bool| if is { "yes" } else { "no" };
            [yes(wait.read), yes(wait.write), if wait.deadline.is_some() { "some" } else { "none" }]
        }
        other => panic!("{other:?}"),
    };
    let mut idle = scene(b"");
    let mut works = scene(GET);
    let id = works.starts();
    let mut writes = works.conn.clone();
    writes.exchange(id).send(START).unwrap();
    writes.exchange(id).send(SendEvent::ResponseBody { body: "x".into(), more_body: true }).unwrap();
    let mut writes = Scene { conn: writes, ..scene(b"") };
    let mut full = Scene::new(small).reads(GET);
    full.starts();
    full.conn.handle_bytes(b"GET ");
    let mut full_and_writes = Scene { conn: full.conn.clone(), ..scene(b"") };
    full_and_writes.sends(id, START);
    full_and_writes.sends_body(id, "x", true);
    let played = [&mut idle, &mut works, &mut writes, &mut full_and_writes, &mut full].map(wait);
    let page: Vec<_> = rows("`read`").into_iter().map(|row| [row[0].clone(), row[1].clone(), row[2].clone()]).collect();
    assert_eq!(page, played.map(|row| row.map(str::to_owned)));
}

/// "A client that closes its socket", and hyper's default in `migration.md`.
#[test]
fn a_client_that_closes_is_as_the_page_says() {
    let closed = || {
        let mut scene = scene(GET);
        let id = scene.starts();
        scene.conn.handle_eof();
        assert!(
            matches!(scene.conn.next_action(scene.now), Action::Wait(wait) if !wait.read && wait.deadline.is_none())
        );
        assert_eq!(scene.conn.exchange(id).outcome(), None, "the application has not asked");
        assert!(scene.conn.exchange(id).receive().is_ready_part());
        assert_eq!(scene.conn.exchange(id).receive(), std::task::Poll::Ready(ReceiveEvent::Disconnect));
        assert_eq!(scene.conn.exchange(id).outcome(), Some(Outcome::HalfClosed));
        (scene, id)
    };
    let (mut answers, id) = closed();
    answers.sends(id, SendEvent::ResponseStart { status: 204, headers: &[], trailers: false });
    answers.sends_body(id, "", false);
    answers.runs();
    assert_eq!((answers.reason(), answers.status()), ("ClientClosed".into(), "204".into()));

    let (mut returns, id) = closed();
    assert_eq!(returns.conn.exchange(id).end(), Outcome::Failed);
    returns.runs();
    assert_eq!(returns.reason(), "ApplicationFailed");

    let (mut is_gone, id) = closed();
    is_gone.conn.handle_disconnect();
    assert_eq!(is_gone.conn.exchange(id).end(), Outcome::ClientLeft);
    is_gone.runs();
    assert_eq!((is_gone.reason(), is_gone.told()), ("ClientLeft".into(), "Disconnect, Close".into()));

    let mut as_hyper = Scene::new(aborts()).reads(GET);
    let id = as_hyper.starts();
    as_hyper.conn.handle_eof();
    as_hyper.runs();
    assert_eq!((as_hyper.told(), as_hyper.conn.exchange(id).end()), ("Disconnect, Close".into(), Outcome::ClientLeft));

    let mut uploaded = Scene::new(aborts()).reads(PUT).reads(b"cd");
    let id = uploaded.starts();
    uploaded.conn.handle_eof();
    assert!(matches!(uploaded.conn.next_action(uploaded.now), Action::Wait(_)), "nothing is told before the body");
    assert!(uploaded.conn.exchange(id).receive().is_ready_part());
    assert_eq!(uploaded.conn.exchange(id).outcome(), Some(Outcome::ClientLeft));
    assert_eq!(uploaded.conn.next_action(uploaded.now), Action::Disconnect(id));
}

/// "`Expect` and an early answer", and README's rule 6.
#[test]
fn expect_is_as_the_pages_say() {
    const EXPECT: &str = "expect: 100-continue\r\n";
    let answer = |expect: &str, body: &str, receives: bool| {
        let head = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n{expect}\r\n");
        let mut scene = scene(head.as_bytes()).reads(body.as_bytes());
        let id = scene.starts();
        if receives {
            assert_eq!(scene.conn.exchange(id).receive().is_ready_part(), !body.is_empty());
        }
        scene.sends(id, SendEvent::ResponseStart { status: 403, headers: &[], trailers: false });
        scene.sends_body(id, "", false);
        let wrote = scene.conn.outgoing().flatten().copied().collect();
        (String::from_utf8(wrote).unwrap(), scene.conn.close_reason())
    };
    for body in ["", "x"] {
        assert_eq!(answer(EXPECT, body, false).1, Some(CloseReason::EarlyResponse), "however much is here");
        assert_eq!(answer("", body, false).1, None);
        let (wrote, reason) = answer(EXPECT, body, true);
        assert!(wrote.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 "), "{wrote}");
        assert_eq!(reason, None, "the body is read and thrown away");
    }
}

#[test]
fn the_date_is_as_the_page_says() {
    let date = |scene: &Scene| {
        let wrote: Vec<u8> = scene.conn.outgoing().flatten().copied().collect();
        let wrote = String::from_utf8(wrote).unwrap();
        wrote.lines().find_map(|line| line.strip_prefix("date: ")).map(str::to_owned)
    };
    let [early, late] = [1, 2].map(Date::from_unix);
    let mut polls = scene(GET);
    polls.conn.set_date(early);
    let id = polls.starts();
    let mut sets_it_again = polls.conn.clone();
    polls.sends(id, START);
    polls.conn.set_date(late);
    polls.sends_body(id, "x", false);
    assert_eq!(date(&polls).as_deref(), Some(early.as_str()), "the head was made at its `ResponseStart`");
    sets_it_again.set_date(late);
    let mut polls = Scene { conn: sets_it_again, ..scene(b"") };
    polls.sends(id, START);
    polls.sends_body(id, "x", false);
    assert_eq!(date(&polls).as_deref(), Some(late.as_str()));

    let fault = |set: Option<Date>| {
        let mut scene = scene(b"");
        if let Some(set) = set {
            scene.conn.set_date(set);
        }
        scene.conn.handle_bytes(b"?\r\n");
        let _ = scene.conn.next_action(scene.now);
        date(&scene)
    };
    assert_eq!(fault(None), None);
    assert_eq!(fault(Some(early)).as_deref(), Some(early.as_str()));
}

/// "The application is not told" of a shutdown, in `driver.md`.
#[test]
fn a_shutdown_is_not_told_to_the_application() {
    let mut scene = scene(GET);
    let id = scene.starts();
    assert!(scene.conn.exchange(id).receive().is_ready_part());
    scene.conn.handle_shutdown();
    scene.conn.handle_shutdown(); // "to say it again does no harm"
    assert!(scene.conn.exchange(id).receive().is_pending());
    assert_eq!(scene.conn.exchange(id).ready(), std::task::Poll::Ready(Ok(())));
    assert_eq!(scene.conn.exchange(id).outcome(), None);
    scene.runs();
    assert_eq!((scene.reason(), scene.status()), ("ShutdownTimeout".into(), "500".into()));
}

/// "A response that is complete has no such limit", there.
#[test]
fn a_shutdown_waits_for_what_is_complete() {
    let mut scene = scene(GET);
    let id = scene.starts();
    scene.sends(id, START);
    scene.sends_body(id, "x", false);
    scene.conn.handle_shutdown();
    assert_eq!(scene.conn.next_action(scene.now), Action::Disconnect(id));
    for _ in 0..40 {
        scene.now += Duration::from_secs(50);
        scene.conn.handle_written(1);
        let write_deadline = Some(scene.now + Duration::from_secs(60));
        let action = scene.conn.next_action(scene.now);
        assert!(matches!(&action, Action::Wait(wait) if wait.write && wait.deadline == write_deadline), "{action:?}");
    }
    scene.runs();
    assert_eq!((scene.told(), scene.reason()), ("Shutdown, Close".into(), "Shutdown".into()));
}

/// "A switch of protocols", in `driver.md`.
#[test]
fn a_switch_is_as_the_page_says() {
    const SWITCH: SendEvent<'_> =
        SendEvent::ResponseStart { status: 101, headers: &[(b"upgrade", b"x")], trailers: false };
    for refused in [
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: y\r\n\r\n",
        "PUT / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\ncontent-length: 1\r\n\r\na",
        "GET / HTTP/1.0\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ] {
        let mut scene = scene(refused.as_bytes());
        let id = scene.starts();
        assert!(matches!(scene.conn.exchange(id).send(SWITCH), Err(SendError::Misuse(_))), "{refused}");
        scene.sends(id, START);
    }
    let config = Config::builder().default_header("server", "s").build().unwrap();
    let mut scene =
        Scene::new(config).reads(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: y, x\r\n\r\nab");
    scene.conn.set_date(Date::from_unix(0));
    let id = scene.starts();
    scene.conn.handle_eof();
    scene.sends(id, SWITCH);
    assert_eq!(scene.conn.exchange(id).outcome(), Some(Outcome::Switched));
    assert_eq!(scene.conn.exchange(id).receive(), std::task::Poll::Ready(ReceiveEvent::Disconnect));
    assert_eq!(scene.conn.next_action(scene.now), Action::Disconnect(id));
    let wrote: Vec<u8> = scene.conn.outgoing().flatten().copied().collect();
    let wrote = String::from_utf8(wrote).unwrap();
    for added in ["connection: upgrade\r\n", "server: s\r\n", "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"] {
        assert!(wrote.contains(added), "{wrote}");
    }
    scene.conn.handle_written(wrote.len());
    let Action::Switch { protocol, leftover } = scene.conn.next_action(scene.now) else { panic!("it is written") };
    assert_eq!((&*protocol, &*leftover), (&b"x"[..], &b"ab"[..]));
    let nothing = Action::Wait(Wait::default());
    assert_eq!(scene.conn.next_action(scene.now + Duration::from_secs(3600)), nothing, "no deadline runs");
}

/// Words that belong together: `Limits::max_fields`, `handle_read`.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || "_:".contains(char))).map(|path| path.trim_matches(':'))
}

/// In prose and tables; the compiler reads the code.
#[test]
fn what_the_pages_name_is_there() {
    let interface = include_str!("public-api.txt").replace("<'a>", "").replace("<'_>", "");
    let interface: Vec<_> = paths(&interface).filter_map(|path| path.strip_prefix("sansgi::")).collect();
    let pages = [
        include_str!("../docs/driver.md"),
        PAGE,
        include_str!("../docs/testing.md"),
        include_str!("../docs/migration.md"),
    ];
    let mut checked = 0;
    for path in pages.into_iter().flat_map(|page| page.split("```").step_by(2)).flat_map(paths) {
        let is_ours = match path.split_once("::") {
            Some((name, _)) => interface.contains(&name),
            // The others are uvicorn's.
            None => {
                path.starts_with("handle_") && !["handle_", "handle_events", "handle_websocket_upgrade"].contains(&path)
            }
        };
        if is_ours {
            let end = format!("::{path}");
            assert!(interface.iter().any(|known| *known == path || known.ends_with(&end)), "there is no {path}");
            checked += 1;
        }
    }
    assert!(checked > 50, "so few: {checked}");
}
