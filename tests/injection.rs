//! An application may send any bytes as a name, a value, a trailer, a status: the event is refused and has changed
//! nothing, or the client reads exactly that and nothing more (P15 in `SECURITY.md`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a test may fail"
)]

mod oracles;

use bytes::Bytes;
use oracles::grammar::{Field, is_field_value, is_one_of, is_token};
use oracles::recogniser::{Limits, recognise};
use oracles::subject;
use oracles::validator::{self, Asked, End, Framing, Output, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sansgi::{Action, Connection, ExchangeId, Instant, SendError, SendEvent};

const NOW: Instant = Instant::ZERO;

// An application that sends any bytes.

/// All strings of no, one and two bytes.
fn short_strings() -> impl Iterator<Item = Vec<u8>> {
    let ones = (0..=255u8).map(|byte| vec![byte]);
    let twos = (0..=255u8).flat_map(|first| (0..=255u8).map(move |second| vec![first, second]));
    [Vec::new()].into_iter().chain(ones).chain(twos)
}

/// An exchange that was started and asks for all that a server may send.
fn started() -> (Connection, ExchangeId, Asked) {
    let head = b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let asked = subject::asked(&recognise(head, &Limits::DEFAULT).requests[0]);
    let mut connection = Connection::new(subject::config(&Limits::DEFAULT));
    connection.handle_bytes(head);
    let Action::Start(id, _) = connection.next_action(NOW) else { panic!("{connection:?}") };
    (connection, id, asked)
}

/// The whole output of a response that is finished from here on.
fn finish(mut connection: Connection, id: ExchangeId, events: &[SendEvent<'_>]) -> Vec<u8> {
    for event in events {
        connection.exchange(id).send(event.clone()).unwrap();
    }
    connection.outgoing().flatten().copied().collect()
}

#[track_caller]
fn the_response(asked: &Asked, output: &[u8], what: &str, string: &[u8]) -> Response {
    let decoded = validator::validate(std::slice::from_ref(asked), output, End::Open);
    let Ok(Output { mut responses, .. }) = decoded else {
        panic!("{what} {}: {}: {decoded:?}", string.escape_ascii(), output.escape_ascii());
    };
    assert!(responses.len() == 1 && responses[0].is_complete, "{what} {}: {responses:?}", string.escape_ascii());
    responses.remove(0)
}

const START: SendEvent<'_> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };
const START_WITH_TRAILERS: SendEvent<'_> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: true };
const LAST: SendEvent<'_> = SendEvent::ResponseBody { body: Bytes::new(), more_body: false };
const NO_TRAILERS: SendEvent<'_> = SendEvent::ResponseTrailers { headers: &[], more_trailers: false };

/// Sends an event with this string somewhere in it. What is refused has changed nothing: the response that is then
/// finished is the one that is finished without. What is taken gives a response.
#[track_caller]
fn try_send(
    (connection, id, asked): &(Connection, ExchangeId, Asked),
    event: SendEvent<'_>,
    (rest, rest_if_refused): (&[SendEvent<'_>], &[SendEvent<'_>]),
    unchanged: &[u8],
    string: &[u8],
) -> Option<Response> {
    let mut connection = connection.clone();
    let what = format!("{event:?}");
    match connection.exchange(*id).send(event) {
        Err(SendError::Misuse(_)) => {
            let output = finish(connection, *id, rest_if_refused);
            assert_eq!(output, unchanged, "{what} {}", string.escape_ascii());
            None
        }
        Err(other) => panic!("{what} {}: {other}", string.escape_ascii()),
        Ok(()) => {
            let output = finish(connection, *id, rest);
            Some(the_response(asked, &output, &what, string))
        }
    }
}

#[test]
fn any_header_is_refused_or_read_back() {
    assert!(headers_taken(short_strings()) > 20_000);
}

/// A longer string is judged in blocks: wherever they begin and end, no byte is passed over.
#[test]
fn any_byte_anywhere_in_a_longer_header_is_refused_or_read_back() {
    let odd = b"\0\t\n\r\x1f !,-./09:;@AZ[_`az{~\x7f\x80\xff";
    let plain = b"of-forty-letters-and-therefore-of-blocks";
    let lengths = (3..=plain.len()).map(|length| &plain[..length]);
    let strings = lengths.flat_map(|plain| (0..plain.len()).flat_map(|at| odd.map(|byte| with(plain, at, byte))));
    assert!(headers_taken(strings) > 10_000);
}

/// A name that is nearly `content-length`.
#[test]
fn any_byte_anywhere_in_the_name_of_the_length_is_refused_or_read_back() {
    let name = b"content-length";
    let others = |at: usize| (0..=255u8).filter(move |byte| !byte.eq_ignore_ascii_case(&name[at]));
    assert!(headers_taken((0..name.len()).flat_map(|at| others(at).map(move |byte| with(name, at, byte)))) > 1000);
}

fn with(string: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut string = string.to_vec();
    string[at] = byte;
    string
}

/// Sends each string as a name and as a value. How many were taken.
#[track_caller]
fn headers_taken(strings: impl Iterator<Item = Vec<u8>>) -> usize {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    let mut taken = 0;
    for string in strings {
        for (name, value) in [(&string[..], &b"v"[..]), (b"x-name", &string)] {
            let event = SendEvent::ResponseStart { status: 200, headers: &[(name, value)], trailers: false };
            let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, &string);
            assert_eq!(response.is_some(), is_token(name) && is_field_value(value), "{}", string.escape_ascii());
            if let Some(response) = response {
                assert_eq!(without_ours(&response.head.fields), [(name.to_vec(), value.to_vec())]);
                assert_eq!((&response.body[..], &response.trailers[..]), (&b""[..], &[][..]));
                taken += 1;
            }
        }
    }
    taken
}

#[test]
fn any_interim_header_is_refused_or_read_back() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    for string in short_strings() {
        for (name, value) in [(&string[..], &b"v"[..]), (b"x-name", &string)] {
            let event = SendEvent::Informational { status: 103, headers: &[(name, value)] };
            let response = try_send(&start, event, (&[START, LAST], &[START, LAST]), &unchanged, &string);
            assert_eq!(response.is_some(), is_token(name) && is_field_value(value), "{}", string.escape_ascii());
            if let Some(response) = response {
                assert_eq!(response.interim.len(), 1);
                assert_eq!(response.interim[0].fields, [(name.to_vec(), value.to_vec())]);
            }
        }
    }
}

#[test]
fn any_trailer_is_refused_or_read_back() {
    let mut start = started();
    for event in [START_WITH_TRAILERS, LAST] {
        start.0.exchange(start.1).send(event).unwrap();
    }
    let unchanged = finish(start.0.clone(), start.1, &[NO_TRAILERS]);
    for string in short_strings() {
        for (name, value) in [(&string[..], &b"v"[..]), (b"x-name", &string)] {
            let event = SendEvent::ResponseTrailers { headers: &[(name, value)], more_trailers: false };
            let response = try_send(&start, event, (&[], &[NO_TRAILERS]), &unchanged, &string);
            let is_right = is_token(name) && is_field_value(value);
            // Of the names that may not be in trailers one is as short: there the texts leave both.
            if !name.eq_ignore_ascii_case(b"te") {
                assert_eq!(response.is_some(), is_right, "{}", string.escape_ascii());
            }
            if let Some(response) = response {
                assert_eq!(response.trailers, [(name.to_vec(), value.to_vec())]);
            }
        }
    }
}

/// The fields that frame the response, or say what becomes of the connection.
#[test]
fn any_framing_and_connection_are_refused_or_meant() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    for string in short_strings() {
        let length = oracles::grammar::decimal(&string);
        let body = Bytes::from(vec![b'x'; length.map_or(0, |length| usize::try_from(length).unwrap())]);
        let event = SendEvent::ResponseStart { status: 200, headers: &[(b"Content-Length", &string)], trailers: false };
        let whole = SendEvent::ResponseBody { body: body.clone(), more_body: false };
        let response = try_send(&start, event, (&[whole], &[START, LAST]), &unchanged, &string);
        assert_eq!(response.is_some(), length.is_some(), "{}", string.escape_ascii());
        if let Some(response) = response {
            assert_eq!((Some(response.framing), response.body), (length.map(Framing::Length), body.to_vec()));
        }

        let event = SendEvent::ResponseStart { status: 200, headers: &[(b"Connection", &string)], trailers: false };
        let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, &string);
        let mut members = oracles::grammar::list(&string);
        members.retain(|member| !member.is_empty());
        let is_right = is_field_value(&string) && members.iter().all(|member| is_token(member));
        assert_eq!(response.is_some(), is_right, "{}", string.escape_ascii());
        if let Some(response) = response {
            assert_eq!(oracles::grammar::elements(&response.head.fields, "connection"), members);
        }

        // "`transfer-encoding` from the application is ignored."
        let headers: &[(&[u8], &[u8])] = &[(b"Transfer-Encoding", &string)];
        let event = SendEvent::ResponseStart { status: 200, headers, trailers: false };
        let mut connection = start.0.clone();
        let is_taken = connection.exchange(start.1).send(event).is_ok();
        assert_eq!(is_taken, is_field_value(&string), "{}", string.escape_ascii());
        if is_taken {
            assert_eq!(finish(connection, start.1, &[LAST]), unchanged);
        }
    }
}

/// "101 only as an upgrade": to a protocol that the request offered, and no other.
#[test]
fn any_protocol_is_refused_or_switched_to() {
    let (connection, id, asked) = started();
    let unchanged = finish(connection.clone(), id, &[START, LAST]);
    let mut taken = 0;
    for string in short_strings() {
        let mut connection = connection.clone();
        let headers: &[(&[u8], &[u8])] = &[(b"Upgrade", &string)];
        match connection.exchange(id).send(SendEvent::ResponseStart { status: 101, headers, trailers: false }) {
            Err(SendError::Misuse(_)) => assert_eq!(finish(connection, id, &[START, LAST]), unchanged),
            Err(other) => panic!("{}: {other}", string.escape_ascii()),
            Ok(()) => {
                let output = finish(connection, id, &[]);
                let decoded = validator::validate(std::slice::from_ref(&asked), &output, End::Switched);
                assert!(decoded.is_ok(), "{}: {decoded:?}", string.escape_ascii());
                taken += 1;
            }
        }
    }
    assert!(taken > 0, "no switch at all");
}

#[test]
fn any_status_is_refused_or_read_back() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    for status in 0..=u16::MAX {
        let string = status.to_string();
        let event = SendEvent::ResponseStart { status, headers: &[], trailers: false };
        let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, string.as_bytes());
        // "Status 200..=599 final; 101 only as an upgrade", which this is not.
        assert_eq!(response.is_some(), (200..600).contains(&status), "{status}");
        if let Some(response) = response {
            assert_eq!((response.head.status, &response.interim[..]), (status, &[][..]));
        }

        let event = SendEvent::Informational { status, headers: &[] };
        let response = try_send(&start, event, (&[START, LAST], &[START, LAST]), &unchanged, string.as_bytes());
        // "103 and others, not 100 or 101".
        assert_eq!(response.is_some(), (102..200).contains(&status), "{status}");
        if let Some(response) = response {
            assert_eq!((response.head.status, response.interim[0].status), (200, status));
        }
    }
}

/// The fields of a response that are not the connection's own.
fn without_ours(fields: &[Field]) -> Vec<Field> {
    let ours = ["connection", "content-length", "transfer-encoding", "date"];
    fields.iter().filter(|(name, _)| !is_one_of(name, &ours)).cloned().collect()
}

/// Longer than all of which there are few enough to try: what looks right in front, and what an attacker puts behind
/// it.
fn any_string() -> impl Strategy<Value = Vec<u8>> {
    let front = prop_oneof![Just(Vec::new()), "[a-z-]{1,12}".prop_map(String::into_bytes), vec(any::<u8>(), 1..20)];
    let behind = prop_oneof![
        1 => Just(Vec::new()),
        1 => select(vec!["\r\nx: y", "\n", "\r", "\0", " ", "\t", ": v", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "\u{e9}", "\u{7f}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..20),
    ];
    (front, behind).prop_map(|(front, behind)| [front, behind].concat())
}

/// Mostly one, so that it depends on the value.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => "[xX]-[a-zA-Z!#~]{1,8}".prop_map(String::into_bytes), 1 => any_string()]
}

/// The names whose values mean something to the connection: they have their own tests above.
fn has_meaning(name: &[u8]) -> bool {
    let meant = ["connection", "content-length", "transfer-encoding", "date", "upgrade", "server"];
    is_one_of(name, &meant)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fields_are_refused_or_read_back(
        fields in vec((any_name(), any_string()), 1..4),
        status in prop_oneof![3 => 200..600u16, 1 => any::<u16>()],
    ) {
        prop_assume!(fields.iter().all(|(name, _)| !has_meaning(name)));
        let start = started();
        let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
        let headers: Vec<(&[u8], &[u8])> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let is_right = fields.iter().all(|(name, value)| is_token(name) && is_field_value(value));

        let event = SendEvent::ResponseStart { status, headers: &headers, trailers: false };
        let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, b"");
        prop_assert_eq!(response.is_some(), is_right && (200..600).contains(&status));
        if let Some(response) = response {
            prop_assert_eq!((response.head.status, &without_ours(&response.head.fields)), (status, &fields));
        }

        let event = SendEvent::Informational { status: 103, headers: &headers };
        let response = try_send(&start, event, (&[START, LAST], &[START, LAST]), &unchanged, b"");
        prop_assert_eq!(response.is_some(), is_right);
        if let Some(response) = response {
            prop_assert_eq!(&response.interim[0].fields, &fields);
        }
    }

    #[test]
    fn any_content_is_read_back(parts in vec(vec(any::<u8>(), 0..40), 0..5), cuts in vec(any_string(), 0..3)) {
        let start = started();
        let bodies = parts.iter().chain(&cuts).cloned();
        let events: Vec<SendEvent<'_>> =
            bodies.map(|body| SendEvent::ResponseBody { body: body.into(), more_body: true }).collect();
        let output = finish(start.0, start.1, &[&[START], &events[..], &[LAST]].concat());
        let response = the_response(&start.2, &output, "content", b"");
        prop_assert_eq!(response.body, [parts, cuts].concat().concat());
    }
}
