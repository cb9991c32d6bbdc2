//! The cases of `tests/drivers` and those of `through`, with each proxy in front.

use crate::proxy::{FRONTS, Front, Kind};
use crate::running::Subject;
use crate::table::{NOT_ASKED_FOR, Outcome, Table};
use crate::{cases, files, outcome, through};

enum Run {
    /// As the suite of the drivers runs it.
    Shared(fn(&Subject)),
    Further(fn(&Front)),
}

struct Case {
    name: &'static str,
    run: Run,
    /// Why not with this front; `NOWHERE` if with each.
    skip: fn(Kind) -> Option<&'static str>,
}

const NOWHERE: fn(Kind) -> Option<&'static str> = |_| None;

/// "The proxy has the whole body before the driver hears of the request."
const COLLECTS: fn(Kind) -> Option<&'static str> = |kind| {
    kind.collects().then_some("the proxy asks the driver when it has the whole body, and the case sends it later")
};

const THE_PROXYS: fn(Kind) -> Option<&'static str> =
    |kind| is_proxy(kind).then_some("about the client's connection, which is the proxy's");

const NO_PROXY: fn(Kind) -> Option<&'static str> = |kind| (!is_proxy(kind)).then_some("about what a proxy does");

/// Half a close is the end.
const LEAVES: fn(Kind) -> Option<&'static str> =
    |kind| is_proxy(kind).then_some("for the proxy a client that has closed its half has left");

const EXPECTS: fn(Kind) -> Option<&'static str> = |kind| {
    let is_met = kind.is_nginx() || kind.collects();
    is_met.then_some("the proxy answers 100 itself: see expectation is met by the proxy")
};

const MET_BY_THE_PROXY: fn(Kind) -> Option<&'static str> = |kind| match EXPECTS(kind) {
    None => Some("the expectation reaches the driver: see expectation"),
    Some(_) => None,
};

const SWITCHES: fn(Kind) -> Option<&'static str> =
    |kind| (kind == Kind::PlainNginx).then_some("by itself nginx passes no upgrade on");

const NO_IDLE: fn(Kind) -> Option<&'static str> = |kind| match kind {
    Kind::PlainNginx => Some("by itself nginx keeps no connection to the driver"),
    kind => NO_PROXY(kind),
};

const KEEPS: fn(Kind) -> Option<&'static str> = |kind| match kind {
    Kind::Nginx { buffers: false } => Some("nginx closes a connection whose request it has not read to its end"),
    kind => COLLECTS(kind),
};

const TAKES_ALL: fn(Kind) -> Option<&'static str> =
    |kind| (kind.is_nginx() && kind.collects()).then_some("nginx takes all of the response at once, whoever reads it");

const STALLS: fn(Kind) -> Option<&'static str> =
    |kind| kind.is_nginx().then_some("nginx does not do it: see long echo is cut");

const FLOWS: fn(Kind) -> Option<&'static str> =
    |kind| (!kind.is_nginx()).then_some("about nginx; here it is not cut: see echo of 100 mb");

const IS_BLIND: fn(Kind) -> Option<&'static str> = |kind| {
    let is_haproxy = matches!(kind, Kind::Haproxy { .. });
    is_haproxy.then_some("haproxy does not see a reset behind what it has not read")
};

const ALONE: fn(Kind) -> Option<&'static str> =
    |kind| is_proxy(kind).then_some("with its only driver gone a proxy has nobody to ask: see one of two shuts down");

const ITS_OWN_RULES: fn(Kind) -> Option<&'static str> =
    |kind| is_proxy(kind).then_some("each proxy judges a request by rules of its own before the driver sees it");

fn is_proxy(kind: Kind) -> bool {
    kind != Kind::Direct
}

macro_rules! cases {
    ($kind:ident, $module:ident: $($case:ident $skip:ident),* $(,)?) => {
        [$(Case { name: stringify!($case), run: Run::$kind($module::$case), skip: $skip }),*]
    };
}

fn all() -> Vec<Case> {
    let shared = cases!(Shared, cases:
        keep_alive NOWHERE, http_1_0 NOWHERE, pipelining NOWHERE, expectation EXPECTS, echo_while_it_arrives COLLECTS,
        sleeps NOWHERE, piece_that_no_socket_takes_at_once NOWHERE, client_resets_while_it_is_written_to NOWHERE,
        response_of_a_thread NOWHERE, early_response_is_read NOWHERE, early_response_keeps_alive KEEPS,
        client_closes NOWHERE, client_half_closes LEAVES, client_resets NOWHERE,
        client_resets_behind_a_full_buffer IS_BLIND, half_close LEAVES, torn_request COLLECTS, malformed ITS_OWN_RULES,
        idle_deadline THE_PROXYS, head_deadline THE_PROXYS, body_deadline COLLECTS, write_deadline TAKES_ALL,
        shutdown_under_load ALONE, shutdown_completes_what_is_in_flight THE_PROXYS, shutdown_deadline NOWHERE,
        shutdown_behind_a_response_of_a_thread NOWHERE,
        websocket SWITCHES, websocket_with_the_first_frame SWITCHES, websocket_of_few_words SWITCHES,
        shutdown_beside_a_websocket SWITCHES,
        crash NOWHERE, late_crash NOWHERE, late_crash_of_an_unframed_response NOWHERE,
    );
    let files = cases!(Shared, files:
        file NOWHERE, file_that_is_too_short NOWHERE, file_that_is_truncated NOWHERE, file_that_is_gone NOWHERE,
        file_that_cannot_be_sent NOWHERE,
    );
    let further = cases!(Further, through:
        head NOWHERE, download_100_mb NOWHERE, upload_100_mb NOWHERE, chunked_upload_100_mb NOWHERE,
        echo_of_100_mb STALLS, long_echo_is_cut FLOWS,
        chunked_upload_is_framed_anew NOWHERE, expectation_is_met_by_the_proxy MET_BY_THE_PROXY,
        refused_upload_is_answered NOWHERE, refusal_is_passed_on NOWHERE,
        idle_shorter_than_the_drivers NO_IDLE, idle_longer_than_the_drivers NO_IDLE,
        close_crosses_a_get NO_IDLE, close_crosses_a_post NO_IDLE, one_of_two_shuts_down NO_PROXY,
    );
    shared.into_iter().chain(files).chain(further).collect()
}

pub(crate) fn run(is_chosen: impl Fn(&str, &str) -> bool) -> Table {
    let mut rows = Vec::new();
    for case in all() {
        let outcomes = FRONTS.iter().map(|front| {
            if let Some(reason) = (case.skip)(front.kind).map(Into::into).or_else(|| front.missing()) {
                return Outcome::Skipped(reason);
            }
            if !is_chosen(front.name, case.name) {
                return Outcome::Skipped(NOT_ASKED_FOR.into());
            }
            match case.run {
                Run::Shared(run) => outcome(front.name, case.name, move || {
                    front.subject().run(run);
                    None
                }),
                Run::Further(run) => outcome(front.name, case.name, move || {
                    run(front);
                    None
                }),
            }
        });
        rows.push((case.name, outcomes.collect()));
    }
    let peers = FRONTS.iter().map(|front| front.name).collect();
    Table { title: "Proxies in front of the driver".into(), peers, rows }
}
