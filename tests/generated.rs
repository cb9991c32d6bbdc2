//! Whole cases made by chance, in the corpus's own words: a configuration, applications and what the world does,
//! hostile and clumsy at once. What the corpus asks of its cases is asked of these: the log is the same at every cut
//! (P1 in `SECURITY.md`), the laws of the driver hold (P8), the validator reads what was written (P7), also where
//! headers are any bytes (P15), and an event that is refused leaves no trace (P11).
//!
//! A case that fails is printed as a case of the corpus, in its smallest form: paste it into a file of `tests/corpus/`.
//! `PROPTEST_CASES=100000 cargo test --release --test generated` looks longer.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test that panics has found something, and nobody depends on it"
)]

mod oracles;
mod support;

use oracles::grammar::{self, elements};
use oracles::subject;
use oracles::validator::{self, Asked};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::corpus::{Case, parse};
use support::cut::Cut;
use support::diff;
use support::print::{Line, Printed};
use support::world::{End, Run, replay};

// Configurations.

/// Each limit and each policy as it is by default, or small: so that it is reached.
fn config() -> impl Strategy<Value = Vec<String>> {
    let limits: [(&'static str, &[usize]); 12] = [
        ("max_head_bytes", &[0, 1, 40, 60, 100]),
        ("max_target_bytes", &[0, 1, 4, 20]),
        ("max_method_bytes", &[0, 1, 3, 4]),
        ("max_fields", &[0, 1, 2, 4]),
        ("max_chunk_line_bytes", &[0, 1, 3, 8]),
        ("max_chunk_extension_bytes", &[0, 1, 4]),
        ("max_trailer_bytes", &[2, 8, 20]),
        ("max_body_bytes", &[0, 1, 5, 8]),
        ("drain_budget_bytes", &[0, 1, 5, 8]),
        ("read_buffer_bytes", &[1, 2, 10, 40]),
        ("high_water_bytes", &[1, 2, 50]),
        ("max_requests", &[0, 1, 2]),
    ];
    let policies: [&'static [&'static str]; 5] = [
        &["half_close ignore", "half_close abort"],
        &["early_response close"],
        &["connect on"],
        &["default_header server: example", "default_header X-Tag: a"],
        &["body_rate 10 1s", "idle 1s", "head 1s", "body 1s", "write 1s", "shutdown 1s", "linger 1s 2s"],
    ];
    let limits =
        limits.map(|(name, values)| select(values.to_vec()).prop_map(move |value| format!("{name} {value}")).boxed());
    let policies = policies.map(|lines| select(lines.to_vec()).prop_map(str::to_owned).boxed());
    // Where a head is refused nothing else is seen.
    let is_of_heads = |number: usize| number < 4;
    let lines: Vec<_> = limits
        .into_iter()
        .chain(policies)
        .enumerate()
        .map(|(number, line)| option::weighted(if is_of_heads(number) { 0.03 } else { 0.2 }, line))
        .collect();
    lines.prop_map(|lines| lines.into_iter().flatten().collect())
}

// Applications.

/// Mostly what is right, some of it with a meaning, and any bytes.
fn header() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let usual = select(vec![("x-tag", "b"), ("content-length", "2"), ("connection", "close"), ("server", "mine")]);
    let known = select(vec![
        ("content-length", "0"),
        ("content-length", "2"),
        ("Content-Length", "5"),
        ("content-length", "05"),
        ("content-length", "2, 2"),
        ("connection", "close"),
        ("Connection", "x, keep-alive"),
        ("connection", ","),
        ("transfer-encoding", "chunked"),
        ("upgrade", "w"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "mine"),
        ("x-tag", "b"),
    ]);
    let known = prop_oneof![2 => usual, 1 => known]
        .prop_map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let anything = (vec(any::<u8>(), 0..4), vec(any::<u8>(), 0..6));
    let any_value = vec(any::<u8>(), 0..6).prop_map(|value| (b"x-any".to_vec(), value));
    prop_oneof![16 => known, 1 => anything, 2 => any_value]
}

fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    prop_oneof![2 => Just(Vec::new()), 3 => vec(header(), 1..4)]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        select(vec!["", "h", "hi", "hello", "\r\n0\r\n\r\n"]).prop_map(|text| text.as_bytes().to_vec()),
        vec(any::<u8>(), 0..9),
    ]
}

fn sends() -> impl Strategy<Value = Line> {
    let status = select(vec![200, 200, 200, 204, 205, 304, 404, 500, 101, 100, 199, 99, 600]);
    let start = (status, any::<bool>(), headers()).prop_map(|(status, trailers, headers)| {
        Line::with(format!("start {status}{}", if trailers { " trailers" } else { "" }), headers)
    });
    let body = (content(), any::<bool>()).prop_map(|(bytes, more)| Line::body(&bytes, more));
    let part = (0..3_u64, any::<bool>())
        .prop_map(|(length, more)| Line::new(format!("part 7 {length}{}", if more { " more" } else { "" })));
    let trailers = (any::<bool>(), headers())
        .prop_map(|(more, headers)| Line::with(if more { "trailers more" } else { "trailers" }, headers));
    let interim = (select(vec![102, 103, 103, 199, 100, 101, 200]), headers())
        .prop_map(|(status, headers)| Line::with(format!("informational {status}"), headers));
    prop_oneof![4 => start, 6 => body, 1 => part, 2 => trailers, 1 => interim]
}

/// The events of a response in their order.
fn response() -> impl Strategy<Value = Vec<Line>> {
    let status = select(vec![200, 201, 204, 205, 304, 404]);
    let parts = vec((content(), any::<bool>()), 0..3);
    // Mostly one that is taken.
    let headers = || prop_oneof![3 => Just(Vec::new()), 1 => headers()];
    let trailers = option::weighted(0.3, headers());
    (status, headers(), parts, content(), trailers).prop_map(|(status, headers, parts, last, trailers)| {
        let declared = if trailers.is_some() { " trailers" } else { "" };
        let mut lines = vec![Line::with(format!("start {status}{declared}"), headers)];
        lines.extend(parts.iter().map(|(bytes, _)| Line::body(bytes, true)));
        lines.push(Line::body(&last, false));
        lines.extend(trailers.map(|headers| Line::with("trailers", headers)));
        lines
    })
}

/// How much a single `receive` gets is up to the cut: who stops there is given another answer by each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stops {
    Never,
    MidBody,
}

fn receives(stops: Stops) -> impl Strategy<Value = Vec<Line>> {
    let mut ways: Vec<&[&str]> =
        vec![&[], &["receive to end"], &["receive to end", "show trailers"], &["receive until disconnect"]];
    if stops == Stops::MidBody {
        ways.extend([
            &["demand"][..],
            &["demand", "receive to end"],
            &["receive"],
            &["receive", "demand", "show trailers"],
        ]);
    }
    select(ways).prop_map(|ways| ways.iter().copied().map(Line::new).collect())
}

fn app(stops: Stops) -> impl Strategy<Value = Vec<Line>> {
    // No `outcome`: that the client has half-closed is told when the driver asks next, which it may do before or after.
    let looks = select(vec!["", "ready", "end", "crash", "sleep 2s", "await start 2"]);
    let answers = prop_oneof![3 => response(), 1 => vec(sends(), 0..6)];
    let in_order =
        (vec(sends(), 0..2), receives(stops), answers, vec(looks, 0..3)).prop_map(|(first, receives, sends, looks)| {
            let looks = looks.into_iter().filter(|look| !look.is_empty()).map(Line::new);
            first.into_iter().chain(receives).chain(sends).chain(looks).collect()
        });
    // With a start that is taken: where an echo is refused, what it was given of the body is up to the cut.
    let start = select(vec!["", "connection", "x-tag"]).prop_map(|name| {
        let headers = if name.is_empty() { Vec::new() } else { vec![(name.as_bytes().to_vec(), b"close".to_vec())] };
        Line::with("start 404", headers)
    });
    let echo = (start, any::<bool>()).prop_map(|(start, ends)| {
        let mut lines = vec![start, Line::new("echo")];
        lines.extend(ends.then(|| Line::new("end")));
        lines
    });
    prop_oneof![5 => in_order, 1 => echo]
}

// The world.

/// Nothing is wrong with it.
fn good_request() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec!["GET / HTTP/1.1", "POST / HTTP/1.1", "PUT /a?b HTTP/1.1", "HEAD / HTTP/1.1"]);
    let field = select(vec!["", "", "", "te: trailers\r\n", "expect: 100-continue\r\n"]);
    let body = select(vec![
        "\r\n",
        "content-length: 5\r\n\r\nhello",
        "content-length: 9\r\n\r\nGET / HTT",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n1\r\na\r\n1;a=\"b\"\r\nb\r\n1\r\nc\r\n0\r\nx: y\r\n\r\n",
    ]);
    (line, field, body).prop_map(|(line, field, body)| format!("{line}\r\nhost: a\r\n{field}{body}").into_bytes())
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => good_request(), 1 => any_request()]
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec![
        "GET / HTTP/1.1",
        "GET / HTTP/1.1",
        "POST /a?b HTTP/1.1",
        "POST / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "GET / HTTP/1.0",
        "PUT / HTTP/1.0",
        "\r\nGET / HTTP/1.1",
    ];
    let rare = vec!["CONNECT a:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /# HTTP/1.1", "GET / HTTP/2.0"];
    let line = prop_oneof![9 => select(lines), 1 => select(rare)];
    let fields = vec![
        "connection: close",
        "connection: keep-alive",
        "connection: upgrade\r\nupgrade: w",
        "expect: 100-continue",
        "te: trailers",
        "x:  \ty\t",
    ];
    let field = prop_oneof![9 => select(fields), 1 => select(vec!["expect: x", "x : y", "transfer-encoding: gzip"])];
    let bodies = select(vec![
        ("", ""),
        ("", ""),
        ("content-length: 0\r\n", ""),
        ("content-length: 5\r\n", "hello"),
        ("content-length: 9\r\n", "GET / HTT"),
        ("content-length: 5\r\n", "hel"),
        ("transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "1\r\na\r\n1;a=\"b\"\r\nb\r\n1\r\nc\r\n0\r\nx: y\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\nhost: y\r\n\r\n"),
        ("content-length: 5\r\n", "hello"),
        ("transfer-encoding: chunked\r\n", "2\r\nhiX"),
        ("transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\n"),
    ]);
    (line, prop_oneof![2 => Just(Vec::new()), 1 => vec(field, 1..3)], bodies).prop_map(
        |(line, fields, (framing, body))| {
            let fields: String = fields.into_iter().flat_map(|field| [field, "\r\n"]).collect();
            format!("{line}\r\nhost: a\r\n{fields}{framing}\r\n{body}").into_bytes()
        },
    )
}

/// In place of a byte: none, another, or one more.
fn damage() -> impl Strategy<Value = Vec<u8>> {
    let one = select(b"\r\n \t:;,=\"0\0\x80".to_vec()).prop_map(|byte| vec![byte]);
    prop_oneof![1 => Just(Vec::new()), 3 => one, 1 => Just(b"\r\n".to_vec()), 1 => any::<u8>().prop_map(|byte| vec![byte])]
}

/// What is neither bytes nor the end of them. How much of a body fits into ten bytes is up to its framing, and so to
/// the cut.
fn event(stops: Stops) -> impl Strategy<Value = Line> {
    let mut events =
        vec!["wait 0.5s", "wait 1s", "wait 31s", "wait 100s", "block", "unblock", "shutdown", "date 784111777"];
    events.extend(["look", "parts fail"]);
    if stops == Stops::MidBody {
        events.push("reads 10");
    }
    select(events).prop_map(Line::new)
}

fn wire(stops: Stops) -> impl Strategy<Value = Vec<Line>> {
    let sent = prop_oneof![
        8 => request(),
        1 => vec(any::<u8>(), 1..6),
        2 => (request(), any::<Index>(), damage()).prop_map(|(mut bytes, place, damage)| {
            let at = place.index(bytes.len());
            bytes.splice(at..=at, damage);
            bytes
        }),
    ];
    let sent = sent.prop_map(|bytes| Line::bytes(&bytes));
    // Not `eof at once`: what of a torn request was seen before its end is up to the reads.
    let end = option::of(select(["eof", "disconnect"].map(Line::new).to_vec()));
    let behind = vec(event(stops), 0..2);
    (vec(prop_oneof![4 => sent, 1 => event(stops)], 1..5), end, behind).prop_map(|(mut lines, end, behind)| {
        lines.extend(end);
        lines.extend(behind);
        lines
    })
}

fn cases(least_apps: usize, stops: Stops) -> impl Strategy<Value = Printed> {
    (config(), vec(app(stops), least_apps..4), wire(stops)).prop_map(|(config, apps, wire)| {
        let (name, prose) = ("found by chance".to_owned(), String::new());
        Printed { name, prose, config, apps, wire }
    })
}

fn cuts() -> impl Strategy<Value = (Vec<Index>, usize)> {
    (prop_oneof![vec(any::<Index>(), 1..3), vec(any::<Index>(), 0..20)], 0..96_usize)
}

// What is asked of them.

/// More than elsewhere: a fault that was planted in the corner of a corner took 5,000 to be seen.
fn cases_of_each() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(1024)
}

/// As `tests/corpus.rs` would read it.
fn read(printed: &Printed) -> Case {
    let mut cases = parse(&printed.to_string()).unwrap_or_else(|error| panic!("{error} in {printed}"));
    assert_eq!(cases.len(), 1);
    cases.remove(0)
}

fn play(case: &Case, cut: &Cut) -> Run {
    replay(case, cut).unwrap_or_else(|law| panic!("{law}, {cut}"))
}

fn cut_at(case: &Case, (places, way): &(Vec<Index>, usize)) -> Cut {
    let length = case.wire.input.len();
    let mut at: Vec<usize> = places.iter().map(|place| place.index(length + 1)).collect();
    at.sort_unstable();
    at.dedup();
    at.retain(|&at| at > 0 && at < length);
    Cut::new(format!("cut at {at:?}"), at, *way)
}

fn byte_by_byte(case: &Case) -> Cut {
    Cut::new("byte by byte", (1..case.wire.input.len()).collect(), 13)
}

fn asked(request: &sansgi::Request) -> Asked {
    let request = subject::translate(request);
    let has =
        |name: &str, value: &str| elements(&request.fields, name).into_iter().any(|each| grammar::is(each, value));
    let expects_continue = request.minor == 1 && request.has_body && has("expect", "100-continue");
    Asked { expects_continue, takes_trailers: has("te", "trailers"), ..subject::asked(&request) }
}

/// P7.
fn judge(run: &Run) {
    let asked: Vec<Asked> = run.requests.iter().map(asked).collect();
    let end = match run.end {
        End::Open => validator::End::Open,
        End::Closed => validator::End::Closed,
        End::Reset => validator::End::Reset,
        End::Switched => validator::End::Switched,
    };
    let written = run.output.all_bytes();
    if let Err(fault) = validator::validate(&asked, &written, end) {
        panic!("P7: {fault:?} in \"{}\", {end:?}", written.escape_ascii());
    }
}

/// All but what the applications say to themselves.
fn told(log: &str) -> String {
    let mut is_told = true;
    let is_of_others = |line: &&str| {
        if !line.starts_with(' ') {
            is_told = !line.starts_with("application");
        }
        is_told
    };
    log.lines().filter(is_of_others).collect::<Vec<_>>().join("\n")
}

/// Refused whatever has happened before.
fn refused() -> impl Strategy<Value = Line> {
    let field = |name: &str, value: &str| vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec())];
    select(vec![
        Line::new("start 199"),
        Line::new("start 600 trailers"),
        Line::new("informational 100"),
        Line::new("informational 200"),
        Line::with("start 200", field("bad name", "")),
        Line::with("start 204", field("x", "a\r\nb: c")),
        Line::with("start 200", field("content-length", "+1")),
        Line::with("start 101", field("upgrade", "another")),
        Line::with("informational 103", field("", "a")),
        Line::with("trailers", field("content-length", "1")),
        Line::with("trailers more", field("x", " a")),
    ])
}

proptest! {
    // What is found is told by its smallest form: no file is needed to find it again.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases_of_each()) })]

    #[test]
    fn a_case_is_the_same_at_every_cut(case in cases(0, Stops::Never), cuts in cuts()) {
        let case = read(&case);
        let whole = play(&case, &Cut::whole());
        judge(&whole);
        for cut in [byte_by_byte(&case), cut_at(&case, &cuts)] {
            let run = play(&case, &cut);
            prop_assert!(run.log == whole.log, "P1, {cut}:\n{}", diff::lines(&whole.log, &run.log));
        }
    }

    #[test]
    fn what_is_refused_leaves_no_trace(
        case in cases(1, Stops::MidBody),
        which: Index,
        place: Index,
        line in prop_oneof![refused(), sends()],
        cuts in cuts(),
    ) {
        let which = which.index(case.apps.len());
        let place = place.index(case.apps[which].len() + 1);
        let with = |lines: &[Line]| {
            let mut case = case.clone();
            case.apps[which].splice(place..place, lines.iter().cloned());
            read(&case)
        };
        let mark = Line::new(MARK);
        let undisturbed = with(&[mark.clone(), mark.clone()]);
        let cut = cut_at(&undisturbed, &cuts);
        let undisturbed = play(&undisturbed, &cut);
        let run = play(&with(&[mark.clone(), line, mark]), &cut);
        judge(&run);
        if was_refused(&run.log) {
            let trace = diff::lines(&undisturbed.log, &run.log);
            prop_assert!(told(&run.log) == told(&undisturbed.log), "P11:\n{trace}");
            prop_assert!(run.received == undisturbed.received, "P11:\n{trace}");
        }
    }
}

/// Stands before and behind the event, and nowhere else.
const MARK: &str = "show request";

/// Whether there is a refusal between the marks.
fn was_refused(log: &str) -> bool {
    let mut lines = log.lines().skip_while(|line| !line.starts_with("  request raw path")).skip(1);
    lines.next().is_some_and(|line| line.contains(" refused: "))
}

/// All that the notation must hide, in every place where bytes may stand.
#[test]
fn what_is_printed_is_read_again() {
    let all: Vec<u8> = (0..=255).collect();
    let strings =
        [&all[..], b"", b" ", b" a ", b": b", b"a: ", b"```", b"{\"a\" * 3}", b"\\", b"\"", b"  x", &[b'a'; 99]];
    for string in strings {
        let header = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
        let start = Line::with("start 200", vec![header(string, b"v"), header(b"x", string)]);
        let printed = Printed {
            name: "printed".to_owned(),
            prose: "Some prose.".to_owned(),
            config: vec!["max_fields 3".to_owned(), "early_response close".to_owned()],
            apps: vec![vec![start, Line::body(string, true)], vec![Line::new("end")]],
            wire: vec![Line::bytes(&[b"x", string].concat()), Line::new("look")],
        };
        let case = read(&printed);
        assert_eq!((case.name.as_str(), case.apps.len(), case.log), ("printed", 2, None));
        assert_eq!(case.wire.input, [b"x", string].concat(), "{printed}");
        let script = format!("{:?}", case.apps[0]);
        for expected in [format!("({string:?}, [118])"), format!("([120], {string:?})"), format!("bytes: {string:?}")] {
            assert!(script.contains(&expected), "{expected} is not in {script}, from {printed}");
        }
    }
}

/// A case that fails says so in the corpus's words.
#[test]
fn what_fails_is_printed_as_a_case() {
    use proptest::test_runner::{Config, TestError, TestRunner};
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let found = runner.run(&cases(0, Stops::Never), |case| {
        let run = play(&read(&case), &Cut::whole());
        prop_assert!(!run.log.contains("start 1 POST"), "a planted law");
        Ok(())
    });
    let Err(TestError::Fail(_, smallest)) = found else { panic!("nothing was found: {found:?}") };
    let text = format!("{smallest:?}");
    assert!(text.contains("\n## found by chance\n") && text.contains("```wire\n> POST "), "{text}");
    // The smallest: nothing else in it that matters.
    assert!(text.lines().count() < 12, "{text}");
    let cases = parse(&format!("# A file\n\n## another\n\n```wire\neof\n```\n{text}")).unwrap();
    assert_eq!(cases.len(), 2);
    assert!(play(&cases[1], &Cut::whole()).log.contains("start 1 POST"));
}
