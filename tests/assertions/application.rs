//! Applications that react to `Start`, to the end of a body and to `Disconnect`, and may pass parts on, but decide
//! nothing by their number or size: what they do must not depend on how the bytes were cut. An input names one by its
//! number: new ones go to the end.

pub(crate) type Fields = &'static [(&'static [u8], &'static [u8])];

/// One thing that an application does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    Start {
        status: u16,
        fields: Fields,
        trailers: bool,
    },
    /// 200, and the `content-length` of the request if it has one.
    StartAsLong,
    Body(&'static [u8]),
    Last(&'static [u8]),
    Part(u64),
    LastPart(u64),
    Trailers {
        fields: Fields,
        more: bool,
    },
    Interim {
        status: u16,
        fields: Fields,
    },
    /// 101 to the first protocol that was offered, or 200, which is a tunnel if it answers CONNECT.
    Switch,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Never,
    ToTheEnd,
    UntilDisconnect,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) at_start: &'static [Do],
    pub(crate) reads: Reads,
    pub(crate) echoes: bool,
    pub(crate) at_body_end: &'static [Do],
    pub(crate) at_disconnect: &'static [Do],
}

impl Plan {
    pub(crate) fn of(number: usize) -> &'static Self {
        &PLANS[number % PLANS.len()]
    }
}

/// Does nothing, not even end.
const SILENT: Plan =
    Plan { at_start: &[], reads: Reads::Never, echoes: false, at_body_end: &[], at_disconnect: &[Do::End] };

const fn start(status: u16, fields: Fields) -> Do {
    Do::Start { status, fields, trailers: false }
}

const LENGTH_2: Fields = &[(b"content-length", b"2")];
const TRAILERS: Do = Do::Trailers { fields: &[(b"x-sum", b"7")], more: false };

const PLANS: &[Plan] = &[
    Plan { reads: Reads::ToTheEnd, at_body_end: &[start(200, LENGTH_2), Do::Last(b"ok"), Do::End], ..SILENT },
    Plan { at_start: &[Do::StartAsLong], reads: Reads::ToTheEnd, echoes: true, at_body_end: &[Do::End], ..SILENT },
    Plan { at_start: &[start(404, LENGTH_2), Do::Last(b"no"), Do::End], ..SILENT },
    SILENT,
    Plan { reads: Reads::UntilDisconnect, at_disconnect: &[start(200, &[]), Do::Last(b"late"), Do::End], ..SILENT },
    // Its head waits behind the 100 that the first `receive` may send.
    Plan {
        at_start: &[start(200, &[(b"Connection", b"x, close"), (b"x-tag", b"\xe9")])],
        reads: Reads::ToTheEnd,
        echoes: true,
        ..SILENT
    },
    Plan {
        at_start: &[start(200, &[]), Do::Body(b"")],
        reads: Reads::UntilDisconnect,
        echoes: true,
        at_body_end: &[Do::End],
        ..SILENT
    },
    // Crashes: before its head, behind it, behind a part of the body, and short of its length.
    Plan { at_start: &[Do::End], ..SILENT },
    Plan { at_start: &[start(200, &[]), Do::End], ..SILENT },
    Plan { at_start: &[start(200, &[]), Do::Body(b"part")], reads: Reads::ToTheEnd, at_body_end: &[Do::End], ..SILENT },
    Plan {
        reads: Reads::ToTheEnd,
        at_body_end: &[start(200, &[(b"content-length", b"9")]), Do::Body(b"short"), Do::Last(b""), Do::End],
        ..SILENT
    },
    Plan { at_start: &[Do::Switch, Do::Last(b""), Do::End], ..SILENT },
    Plan { reads: Reads::ToTheEnd, at_body_end: &[Do::Switch, Do::Last(b"no switch"), Do::End], ..SILENT },
    Plan {
        at_start: &[
            Do::Interim { status: 103, fields: &[(b"link", b"</a>")] },
            Do::Start { status: 200, fields: &[], trailers: true },
            Do::Interim { status: 102, fields: &[] },
        ],
        reads: Reads::ToTheEnd,
        at_body_end: &[
            Do::Body(b"sum"),
            Do::Interim { status: 103, fields: &[] },
            Do::Last(b""),
            Do::Trailers { fields: &[(b"x-a", b"b")], more: true },
            TRAILERS,
            Do::End,
        ],
        ..SILENT
    },
    Plan {
        at_start: &[start(200, &[(b"content-length", b"12")]), Do::Body(b"1234"), Do::Part(4), Do::LastPart(4)],
        ..SILENT
    },
    Plan { at_start: &[start(200, &[]), Do::Part(3), Do::Body(b"x"), Do::LastPart(0), Do::End], ..SILENT },
    // What it may not do, and then what it may.
    Plan {
        at_start: &[
            Do::Body(b"x"),
            start(199, &[]),
            start(200, &[(b"a b", b"")]),
            start(200, &[(b"a", b"b\r\nc: d")]),
            start(200, &[(b"content-length", b"+2")]),
            TRAILERS,
            start(200, LENGTH_2),
            start(200, LENGTH_2),
            Do::Last(b"too long"),
            Do::Last(b"s"),
        ],
        reads: Reads::ToTheEnd,
        at_body_end: &[Do::Last(b"ok"), Do::Last(b"ok"), Do::End],
        ..SILENT
    },
    Plan { at_start: &[start(204, LENGTH_2), Do::Body(b"none"), Do::Last(b"")], ..SILENT },
    Plan { at_start: &[start(205, LENGTH_2), Do::Last(b"none")], ..SILENT },
    Plan { at_start: &[start(304, &[(b"content-length", b"99")]), Do::Last(b"none"), Do::End], ..SILENT },
    Plan { reads: Reads::UntilDisconnect, at_body_end: &[start(200, &[]), Do::Last(b"ok")], ..SILENT },
    // Larger than any high-water mark but the default one.
    Plan { at_start: &[start(200, &[]), Do::Last(&[b'l'; 1100]), Do::End], ..SILENT },
];
