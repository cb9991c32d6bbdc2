//! The public generators (feature `arbitrary`), as somebody uses them who fuzzes a server of their own: what they make
//! comes somewhere, all kinds of it come up, and the same bytes always mean the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use sansgi::arbitrary::{Answer, Arbitrary, Call, Caller, Calls, OwnedSendEvent, RequestBytes, Unstructured, Whose};
use sansgi::{Action, Config, Connection, Instant, Limits, ReceiveEvent, SendEvent, Timeouts};

/// Bytes as a fuzzer might bring them: the same for the same seed (xorshift, by Marsaglia).
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        u8::try_from(state >> 24).unwrap()
    };
    (0..length).map(|_| byte()).collect()
}

fn generated<T: for<'a> Arbitrary<'a>>(seed: u32) -> T {
    T::arbitrary(&mut Unstructured::new(&noise(seed, 400))).unwrap()
}

/// The name of a variant.
fn kind(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
}

#[test]
fn calls_in_any_order_keep_the_rules() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut answers: BTreeSet<String> = BTreeSet::new();
    for seed in 0..3_000 {
        let data = noise(seed, 500);
        let mut input = Unstructured::new(&data);
        let mut conn = Connection::new(Config::arbitrary(&mut input).unwrap());
        let Calls(calls) = Calls::arbitrary(&mut input).unwrap();
        let mut caller = Caller::default();
        let (mut open, mut is_closed) = (None, false);
        for call in &calls {
            *kinds.entry(kind(call)).or_default() += 1;
            let before = caller.now();
            let answer = call.apply(&mut conn, &mut caller);
            assert!(caller.now() >= before);
            let Answer::Action(action) = answer else {
                answers.insert(kind(&answer));
                continue;
            };
            answers.insert(kind(&action));
            assert!(!is_closed || matches!(action, Action::Close { .. }), "{action:?} behind a close: {calls:?}");
            match action {
                Action::Start(id, _) => {
                    assert_eq!(open.replace(id), None, "{calls:?}");
                    assert_eq!(caller.id(Whose::Newest), id);
                    assert_eq!(caller.id(Whose::Older).as_u64(), id.as_u64() - 1);
                }
                Action::Disconnect(id) => assert_eq!(open.take(), Some(id), "{calls:?}"),
                Action::Close { .. } => is_closed = true,
                Action::Wait(wait) => assert!(wait.deadline.is_none_or(|deadline| deadline > caller.now())),
                _ => {}
            }
        }
    }
    // All that there is comes up, none of it hardly ever.
    assert_eq!(kinds.len(), 16, "{kinds:?}");
    assert!(kinds.values().all(|&count| count > 100), "{kinds:?}");
    for expected in
        ["Start", "Disconnect", "Wait", "Close", "Shutdown", "Transfer", "Switch", "Sent", "Received", "Ended"]
    {
        assert!(answers.contains(expected), "never {expected}: {answers:?}");
    }
}

/// "Mostly from what is valid": random bytes alone would never come behind a request line.
#[test]
fn most_requests_start_and_some_are_refused() {
    let (mut started, mut faults) = (0, BTreeSet::new());
    for seed in 0..2_000 {
        let request: RequestBytes = generated(seed);
        let mut conn = Connection::new(Config::builder().connect(true).build().unwrap());
        conn.handle_bytes(&request.to_bytes());
        match conn.next_action(Instant::ZERO) {
            Action::Start(..) => started += 1,
            _ => _ = conn.fault().map(|fault| faults.insert(kind(&fault))),
        }
    }
    assert!((800..1_900).contains(&started), "{started} of 2000 start");
    assert!(faults.len() >= 10, "only these: {faults:?}");
}

#[test]
fn events_are_taken_and_refused() {
    let head = b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut verdicts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for seed in 0..2_000 {
        let mut conn = Connection::new(Config::default());
        conn.handle_bytes(head);
        let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("{conn:?}") };
        let data = noise(seed, 1_000);
        let mut input = Unstructured::new(&data);
        for _ in 0..20 {
            let event = OwnedSendEvent::arbitrary(&mut input).unwrap();
            let verdict = event.lend(|event| conn.exchange(id).send(event));
            *verdicts.entry((kind(&event), kind(&verdict))).or_default() += 1;
        }
    }
    // Each kind of event both ways.
    assert_eq!(verdicts.len(), 10, "{verdicts:?}");
}

/// Every input is one, an empty one too, and what it means is up to nothing else.
#[test]
fn the_same_bytes_mean_the_same() {
    for seed in 0..300 {
        for length in [0, 1, 2, 5, 20, 100] {
            let data = noise(seed, length);
            let of = |data: &[u8]| {
                let mut input = Unstructured::new(data);
                let limits = Limits::arbitrary(&mut input).unwrap();
                let timeouts = Timeouts::arbitrary(&mut input).unwrap();
                (format!("{limits:?} {timeouts:?}"), Calls::arbitrary(&mut input).unwrap())
            };
            assert_eq!(of(&data), of(&data));
            assert!(Call::arbitrary(&mut Unstructured::new(&data)).is_ok());
        }
    }
    assert_eq!(Calls::arbitrary(&mut Unstructured::new(&[])), Ok(Calls(Vec::new())));
}

/// However much there is of the input, a run has its end.
#[test]
fn calls_are_bounded() {
    let Calls(calls) = Calls::arbitrary(&mut Unstructured::new(&[14; 10_000])).unwrap();
    assert_eq!(calls, vec![Call::Eof; 256]);
}

/// "Mostly the newest": what a running server does. And time passes, sometimes a lot of it.
#[test]
fn calls_are_about_every_exchange_and_every_time() {
    let mut about: BTreeMap<String, usize> = BTreeMap::new();
    let mut times = BTreeSet::new();
    let (mut not_text, mut all) = (0, 0);
    for seed in 0..3_000 {
        let Calls(calls) = Calls::arbitrary(&mut Unstructured::new(&noise(seed, 400))).unwrap();
        for call in calls {
            all += 1;
            match call {
                Call::Receive(whose) | Call::Ready(whose) | Call::Send(whose, _) | Call::End(whose) => {
                    *about.entry(format!("{} {whose:?}", kind(&call))).or_default() += 1;
                }
                Call::NextAction { later } => _ = times.insert(later),
                Call::Bytes(bytes) => not_text += usize::from(!bytes.is_ascii()),
                _ => {}
            }
        }
    }
    for kind in ["Receive", "Ready", "Send", "End"] {
        let [newest, older, never] = ["Newest", "Older", "NeverIssued"]
            .map(|whose| about.get(&format!("{kind} {whose}")).copied().unwrap_or_default());
        assert!(older > 20 && never > 20, "{kind}: {about:?}");
        // Of the ends most, and of what is done all the time nearly all.
        let others = older + never;
        let least = match kind {
            "Ready" => others / 2,
            "End" => others * 2,
            _ => others * 4,
        };
        assert!(newest > least, "{kind}: {about:?}");
    }
    // An application that always ends at once is no application.
    let ends: usize = about.iter().filter(|(name, _)| name.starts_with("End")).map(|(_, count)| count).sum();
    assert!(ends * 25 < all, "{ends} of {all} calls");
    assert!(not_text > all / 200, "{not_text} of {all} calls");
    let hour = Duration::from_secs(3_600);
    assert!(times.contains(&Duration::ZERO) && times.contains(&Duration::from_nanos(u64::MAX)), "{times:?}");
    assert!(times.iter().any(|&time| !time.is_zero() && time < Duration::from_millis(10)), "{times:?}");
    assert!(times.iter().any(|&time| time > Duration::from_secs(75) && time < hour), "{times:?}");
    assert!(times.len() >= 8, "{times:?}");
}

/// What is lent is what is owned, its headers and bodies included.
#[test]
fn an_event_is_lent_whole() {
    let sent = [(&b"link"[..], &b"</a>"[..]), (b"", b"x")];
    let headers: Vec<(Bytes, Bytes)> = sent.map(|(name, value)| (name.into(), value.into())).into();
    let pairs = [
        (
            OwnedSendEvent::ResponseStart { status: 200, headers: headers.clone(), trailers: true },
            SendEvent::ResponseStart { status: 200, headers: &sent, trailers: true },
        ),
        (
            OwnedSendEvent::ResponseBody { body: "ab".into(), more_body: true },
            SendEvent::ResponseBody { body: "ab".into(), more_body: true },
        ),
        (
            OwnedSendEvent::ResponsePart { token: 1, len: 2, more_body: true },
            SendEvent::ResponsePart { token: 1, len: 2, more_body: true },
        ),
        (
            OwnedSendEvent::ResponseTrailers { headers: headers.clone(), more_trailers: true },
            SendEvent::ResponseTrailers { headers: &sent, more_trailers: true },
        ),
        (
            OwnedSendEvent::Informational { status: 103, headers },
            SendEvent::Informational { status: 103, headers: &sent },
        ),
    ];
    for (owned, event) in pairs {
        assert!(owned.lend(|lent| lent == event), "{owned:?}");
    }
}

/// A caller knows what time it told last.
#[test]
fn a_caller_knows_the_time() {
    let mut caller = Caller::default();
    let mut conn = Connection::new(Config::default());
    assert_eq!(caller.now(), Instant::ZERO);
    let _ = Call::NextAction { later: Duration::from_secs(3) }.apply(&mut conn, &mut caller);
    assert_eq!(caller.now(), Instant::ZERO + Duration::from_secs(3));
}

/// What an application says has headers, good and bad ones; and parts of any length, without a byte of them.
#[test]
fn events_say_all_kinds_of_things() {
    let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut values: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut bodies = BTreeSet::new();
    let mut parts = BTreeSet::new();
    for seed in 0..5_000 {
        match generated(seed) {
            OwnedSendEvent::ResponseStart { headers, .. }
            | OwnedSendEvent::ResponseTrailers { headers, .. }
            | OwnedSendEvent::Informational { headers, .. } => {
                for (name, value) in headers {
                    names.insert(name.to_vec());
                    values.insert(value.to_vec());
                }
            }
            OwnedSendEvent::ResponseBody { body, .. } => _ = bodies.insert(body.len()),
            OwnedSendEvent::ResponsePart { len, .. } => _ = parts.insert(len),
        }
    }
    for expected in ["content-length", "connection", "transfer-encoding", "bad name", ""] {
        assert!(names.contains(expected.as_bytes()), "{expected}: {names:?}");
    }
    for expected in ["5", "close", "websocket", "a\r\nx: y"] {
        assert!(values.contains(expected.as_bytes()), "{expected}: {values:?}");
    }
    assert!(names.iter().filter(|name| !name.is_ascii()).count() > 100, "some are as the input has them");
    assert!(bodies.contains(&0) && bodies.iter().any(|&length| length >= 1_000), "{bodies:?}");
    let longer_than_memory = 1 << 32..u64::MAX;
    assert!(parts.contains(&0) && parts.contains(&u64::MAX), "{parts:?}");
    assert!(parts.iter().any(|len| longer_than_memory.contains(len)), "{parts:?}");
}

/// The numbers of a `Debug` text, by the name of their field.
fn numbers(value: &impl std::fmt::Debug) -> BTreeMap<String, u64> {
    let text = format!("{value:?}");
    let fields = text.split(['{', '}', ',']).filter_map(|field| field.split_once(':'));
    fields.filter_map(|(name, value)| Some((name.trim().to_owned(), value.trim().parse().ok()?))).collect()
}

/// "The defaults, and small ones, which are reached": together too, so that one is reached while the others are not.
#[test]
fn limits_are_the_defaults_and_small_ones() {
    let usual = numbers(&Limits::default());
    assert_eq!(usual.len(), 12);
    let mut values: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut defaults = 0;
    for seed in 0..2_000 {
        let limits: Limits = generated(seed);
        if limits == Limits::default() {
            defaults += 1;
            continue;
        }
        for (name, value) in numbers(&limits) {
            values.entry(name).or_default().insert(value);
        }
    }
    assert!((500..1_500).contains(&defaults), "{defaults} of 2000");
    for (name, values) in values {
        let default = usual[&name];
        assert!(values.contains(&default), "{name} is never what it usually is: {values:?}");
        let small: Vec<u64> = values.iter().copied().filter(|&value| value != default && value != u64::MAX).collect();
        assert!(small.len() >= 3 && small.iter().all(|&value| value <= 300 || value > 1 << 62), "{name}: {values:?}");
    }
}

/// Bytes of little weight, as a fuzzer's that has found out what they do: what they choose is often near the front.
fn low_noise(seed: u32, length: usize) -> Vec<u8> {
    let weights = noise(seed ^ 0x5555, length);
    let lowered = noise(seed, length).into_iter().zip(weights).map(|(byte, weight)| match weight % 4 {
        0 => byte,
        1 => byte % 64,
        2 => byte % 32,
        _ => 0,
    });
    lowered.collect()
}

/// "Valid, or nearly": each of the faults that clients and attackers make is found in a head, and in chunks too.
#[test]
fn requests_are_spoiled_in_all_ways() {
    const HEAD: &str = "\r\nhost: a\r\n";
    // Not at an end of the line: with a line end put behind it that one looks as if it were missing.
    let without_a_byte: Vec<String> = (3..HEAD.len() - 3).map(|at| [&HEAD[..at], &HEAD[at + 1..]].concat()).collect();
    let with_more = |what: &str| -> Vec<String> {
        (3..HEAD.len() - 2).map(|at| [&HEAD[..at], what, &HEAD[at..]].concat()).collect()
    };
    let with_a_byte_changed = |what: &str| -> Vec<String> {
        (2..HEAD.len() - 2).map(|at| [&HEAD[..at], what, &HEAD[at + 1..]].concat()).collect()
    };
    let faults = [
        ("nothing", vec![HEAD.to_owned()]),
        ("a byte is missing", without_a_byte),
        ("a CR instead of a byte", with_a_byte_changed("\r")),
        ("an LF instead of a byte", with_a_byte_changed("\n")),
        ("a NUL", with_more("\0")),
        ("a space", with_more(" ")),
        ("a line end", with_more("\r\n")),
    ];
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut decoded, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..30_000 {
        let request = RequestBytes::arbitrary(&mut Unstructured::new(&low_noise(seed, 300))).unwrap();
        let head = String::from_utf8_lossy(&request.head);
        for (what, ways) in &faults {
            let is_so = ways.iter().any(|way| head.contains(way.as_str()));
            *found.entry(what).or_default() += usize::from(is_so);
        }
        *found.entry("torn").or_default() += usize::from(!head.ends_with("\r\n"));
        if !head.contains("\r\ntransfer-encoding: chunked\r\n") {
            continue;
        }
        let mut conn = Connection::new(Config::default());
        conn.handle_bytes(&request.to_bytes());
        let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { continue };
        let mut body = 0;
        let fault = loop {
            let Poll::Ready(ReceiveEvent::Request { body: part, more_body }) = conn.exchange(id).receive() else {
                let _ = conn.next_action(Instant::ZERO);
                break conn.fault();
            };
            body += part.len();
            if !more_body {
                break None;
            }
        };
        match fault {
            None => _ = decoded.insert(body),
            Some(fault) => _ = refused.insert(kind(&fault)),
        }
    }
    assert!(found.values().all(|&count| count > 0), "{found:?}");
    assert!(found["nothing"] > 28_000, "{found:?}");
    assert!(decoded.contains(&0) && decoded.len() >= 8 && refused.len() >= 3, "{decoded:?} {refused:?}");
}

/// One changed byte behind the first calls leaves those as they were: a fuzzer changes one thing at a time.
#[test]
fn a_later_byte_changes_no_earlier_call() {
    let mut unchanged = 0;
    for seed in 0..200 {
        let mut data = noise(seed, 200);
        let Calls(before) = Calls::arbitrary(&mut Unstructured::new(&data)).unwrap();
        data[100] ^= 0x55;
        let Calls(after) = Calls::arbitrary(&mut Unstructured::new(&data)).unwrap();
        unchanged += before.iter().zip(&after).take_while(|(before, after)| before == after).count();
    }
    assert!(unchanged / 200 >= 5, "{unchanged} of all calls");
}
