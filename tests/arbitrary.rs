//! The public generators (feature `arbitrary`), as somebody uses them who fuzzes a server of their own: what they make comes
//! somewhere, all kinds of it come up, and the same bytes always mean the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use std::collections::{BTreeMap, BTreeSet};

use sansgi::arbitrary::{Answer, Arbitrary, Call, Caller, Calls, OwnedSendEvent, RequestBytes, Unstructured, Whose};
use sansgi::{Action, Config, Connection, Instant, Limits, Timeouts};

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
