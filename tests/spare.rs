//! What a thread keeps for its connections: pieces of the sizes that it should, of memory that is nobody else's, and
//! only for those who need them.

#![cfg(feature = "std")]

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use bytes::{Bytes, BytesMut};
use sansgi::{Action, Config, Connection, EarlyResponse, ExchangeId, Instant, Limits, ReceiveEvent, SendEvent, Wait};

#[path = "support/heap.rs"]
mod heap;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// What a thread keeps at most.
const MOST_BYTES: usize = 40 * 1024;

const V: &[u8] = &[b'v'; 16 * 1024];

/// In a thread that keeps nothing yet.
fn on_a_new_thread<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    thread::spawn(run).join().unwrap()
}

fn connection(limits: Limits) -> Connection {
    Connection::new(Config::builder().limits(limits).build().unwrap())
}

fn with_reads_of(bytes: usize) -> Connection {
    connection(Limits::default().read_buffer_bytes(bytes))
}

/// A head of exactly so many bytes.
fn head_of(bytes: usize) -> Vec<u8> {
    let head = b"GET / HTTP/1.1\r\nhost: a\r\nx: ";
    [head, &V[..bytes - head.len() - 4], b"\r\n\r\n"].concat()
}

/// A head with so many fields besides Host, whose names have so many bytes each.
fn head_with(fields: usize, name: usize) -> Vec<u8> {
    let line = [&V[..name], b": v\r\n"].concat();
    [b"GET / HTTP/1.1\r\nhost: a\r\n", &line.repeat(fields)[..], b"\r\n"].concat()
}

fn read(conn: &mut Connection, bytes: &[u8]) {
    let mut buffer = conn.read_buffer();
    buffer.extend_from_slice(bytes);
    conn.handle_read(buffer);
}

/// The next request, if one is here; else it waits for one, or for more of it.
fn started(conn: &mut Connection) -> Option<ExchangeId> {
    loop {
        match conn.next_action(Instant::ZERO) {
            Action::Start(id, _) => return Some(id),
            Action::Disconnect(_) => {}
            action => {
                assert!(matches!(action, Action::Wait(Wait { read: true, .. })), "{action:?}");
                return None;
            }
        }
    }
}

/// A response with a field and content of these sizes, of which nothing is written.
fn answer(conn: &mut Connection, id: ExchangeId, value: usize, content: usize) {
    let mut exchange = conn.exchange(id);
    let headers: &[(&[u8], &[u8])] = &[(b"x", &V[..value])];
    exchange.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).unwrap();
    exchange.send(SendEvent::ResponseBody { body: Bytes::from_static(&V[..content]), more_body: false }).unwrap();
}

/// Answers all that is here, each with a field of this size, and is idle again.
fn serve(conn: &mut Connection, value: usize) {
    while let Some(id) = started(conn) {
        answer(conn, id, value, 1);
        conn.handle_written(usize::MAX);
    }
}

/// Of ten times, when it has been done a few times before.
fn allocations_of_ten(mut once: impl FnMut()) -> usize {
    (0..5).for_each(|_| once());
    let before = heap::allocations();
    (0..10).for_each(|_| once());
    heap::allocations() - before
}

#[test]
fn buffers_that_are_kept() {
    for (bytes, kept) in [(1024, 1024), (1025, 0), (16 * 1024, 16 * 1024), (32 * 1024, 0)] {
        let of_thread = on_a_new_thread(move || {
            let mut conn = with_reads_of(bytes);
            read(&mut conn, GET);
            serve(&mut conn, 1);
            sansgi::spare_bytes()
        });
        assert_eq!(of_thread, kept, "of a read buffer of {bytes}");
    }
}

#[test]
fn the_largest_text_that_is_kept() {
    let kept = |value: usize| {
        on_a_new_thread(move || {
            let (mut conn, mut driver) = (Connection::new(Config::default()), BytesMut::with_capacity(1 << 14));
            driver.extend_from_slice(GET);
            conn.handle_read(driver.split());
            serve(&mut conn, value);
            sansgi::spare_bytes()
        })
    };
    let sizes: Vec<_> = (3900..4096).map(kept).collect();
    assert_eq!((sizes.iter().max(), sizes.last()), (Some(&4096), Some(&0)));
}

#[test]
fn the_most_that_is_kept_for_fields() {
    let kept = |fields: usize, name: usize| {
        on_a_new_thread(move || {
            let (mut conn, mut driver) = (Connection::new(Config::default()), BytesMut::with_capacity(1 << 14));
            driver.extend_from_slice(&head_with(fields, name));
            conn.handle_read(driver.split());
            serve(&mut conn, 1);
            sansgi::spare_bytes()
        })
    };
    // Names, with that of Host, and places of 16 bytes each. Without the places an idle connection keeps its names.
    assert_eq!([kept(73, 28), kept(28, 73)], [74 * 16 + 4 + 73 * 28, 29 * 16 + 4 + 28 * 73]);
    assert_eq!([kept(73, 29), kept(32, 64)], [74 * 16, 33 * 16]);
    let many = |fields: usize| {
        on_a_new_thread(move || {
            let mut conn = connection(Limits::default().max_fields(200));
            let mut driver = BytesMut::with_capacity(1 << 14);
            driver.extend_from_slice(&head_with(fields, 1));
            conn.handle_read(driver.split());
            serve(&mut conn, 1);
            sansgi::spare_bytes()
        })
    };
    assert_eq!([many(127), many(128)], [2048, 0]);
}

/// A larger one might be held for as long as its peer likes, and parts that are cut from it would be other ones.
#[test]
fn a_buffer_serves_those_who_need_its_size() {
    for (bytes, asked) in [(512, 1), (1024, 0), (2048, 1)] {
        let allocations = on_a_new_thread(move || {
            let mut other = with_reads_of(bytes);
            read(&mut other, GET);
            serve(&mut other, 1);
            let mut conn = Connection::new(Config::default());
            let before = heap::allocations();
            conn.handle_bytes(b"GET ");
            heap::allocations() - before
        });
        assert_eq!(allocations, asked, "where {bytes} bytes are kept");
    }
}

/// How much may be read is no matter of what other connections have read (P18).
#[test]
fn a_read_buffer_has_the_same_room_whatever_is_kept() {
    for kept in [2048, 3000, 4096] {
        let room = on_a_new_thread(move || {
            let mut other = with_reads_of(kept);
            read(&mut other, GET);
            serve(&mut other, 1);
            with_reads_of(3000).read_buffer().capacity()
        });
        assert_eq!(room, 3000, "where {kept} are kept");
    }
}

/// What a connection answers follows from what it was told (P18): here from how much is received at once, which follows
/// from the memory that it is cut from.
#[test]
fn what_is_kept_changes_no_answer() {
    let upload = || {
        let config = Config::builder().early_response(EarlyResponse::Close).build().unwrap();
        let mut conn = Connection::new(config);
        conn.handle_bytes(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        let id = started(&mut conn).unwrap();
        conn.handle_bytes(&[b"384\r\n", &V[..900], b"\r\n2bc\r\n", &V[..700], b"\r\n0\r\n\r\n"].concat());
        let Poll::Ready(ReceiveEvent::Request { body, more_body }) = conn.exchange(id).receive() else {
            panic!("a part")
        };
        answer(&mut conn, id, 1, 1);
        let written: Vec<u8> = conn.outgoing().flatten().copied().collect();
        (body.len(), more_body, written)
    };
    let behind_others = move || {
        for length in [500, 1000, 2000, 4000, 8000, 16_000] {
            let mut other = Connection::new(Config::default());
            other.handle_bytes(&head_of(length));
            serve(&mut other, 1);
        }
        upload()
    };
    assert_eq!(on_a_new_thread(upload), on_a_new_thread(behind_others));
}

/// Also where bytes were copied into memory that was kept.
#[test]
fn a_read_buffer_behind_bytes_has_a_quarter_more_room_at_most() {
    for (most, request, body) in
        [(1000, &b"G"[..], 0), (5000, b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\n\r\n", 4500)]
    {
        let room = on_a_new_thread(move || {
            let mut other = Connection::new(Config::default());
            other.handle_bytes(&head_of(4000));
            read(&mut other, GET);
            serve(&mut other, 1);
            let mut conn = with_reads_of(most);
            conn.handle_bytes(request);
            if let Some(id) = started(&mut conn) {
                assert!(conn.exchange(id).receive().is_pending());
                conn.handle_bytes(&V[..body]);
                assert!(conn.exchange(id).receive().is_ready());
            }
            conn.read_buffer().capacity()
        });
        assert!((most..=most + most / 4).contains(&room), "{room}, where {most} may be read");
    }
}

#[test]
fn a_short_text_is_kept_beside_a_longer_one() {
    let mut conn = Connection::new(Config::default());
    let head = head_with(9, 9); // all that an idle connection may keep
    let [short, both] = [150, 900].map(|value| {
        conn.handle_bytes(&head);
        serve(&mut conn, value);
        sansgi::spare_bytes()
    });
    assert_eq!(both - short, 1024);
}

#[test]
fn a_text_that_is_too_small_is_not_taken() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(GET);
    serve(&mut conn, 900); // leaves 1,024 bytes
    conn.handle_bytes(GET);
    let id = started(&mut conn).unwrap();
    let before = heap::allocations();
    let headers: &[(&[u8], &[u8])] = &[(b"x", &V[..3600])];
    conn.exchange(id).send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).unwrap();
    assert_eq!(heap::allocations() - before, 1);
}

/// Whichever comes first.
#[test]
fn the_larger_of_two_is_kept() {
    for sizes in [[900, 3000], [3000, 900]] {
        let allocations = on_a_new_thread(move || {
            let mut conns = sizes.map(|value| {
                let mut conn = Connection::new(Config::default());
                conn.handle_bytes(GET);
                let id = started(&mut conn).unwrap();
                answer(&mut conn, id, value, 1);
                conn
            });
            for conn in &mut conns {
                conn.handle_written(usize::MAX);
                assert_eq!(started(conn), None);
            }
            let [conn, _] = &mut conns;
            conn.handle_bytes(GET);
            let id = started(conn).unwrap();
            let before = heap::allocations();
            answer(conn, id, 3000, 1);
            heap::allocations() - before
        });
        assert_eq!(allocations, 0, "{sizes:?}");
    }
}

/// What no piece can serve costs none.
#[test]
fn a_need_that_is_too_large_takes_nothing() {
    let mut conns = [16, 64].map(|kibibytes| with_reads_of(kibibytes * 1024));
    let reads = allocations_of_ten(|| {
        for conn in &mut conns {
            read(conn, GET);
            serve(conn, 1);
        }
    });
    assert_eq!(reads, 10, "one each for what no thread keeps");
    let [conn, _] = &mut conns;
    let texts = allocations_of_ten(|| {
        for value in [1000, 5000] {
            read(conn, GET);
            serve(conn, value);
        }
    });
    assert_eq!(texts, 10, "one each for what no thread keeps");
}

/// Responses that queue their content as it is and such that copy it, one after the other.
#[test]
fn responses_of_all_kinds_share_their_memory() {
    for (one, two) in
        [((300, 2000), (900, 1)), ((300, 2000), (1500, 1)), ((3000, 2000), (300, 1)), ((30, 300), (30, 900))]
    {
        let mut conn = Connection::new(Config::default());
        let allocations = allocations_of_ten(|| {
            for (value, content) in [one, two] {
                conn.handle_bytes(GET);
                let id = started(&mut conn).unwrap();
                answer(&mut conn, id, value, content);
                conn.handle_written(usize::MAX);
                assert_eq!(started(&mut conn), None);
            }
        });
        assert_eq!(allocations, 0, "{one:?}, {two:?}");
    }
}

/// A thread has one piece of each kind. Of ten connections that are served at once nine ask for what they do not keep:
/// for many fields their places, for more their names too.
#[test]
fn connections_that_are_served_at_once() {
    for (fields, asked) in [(4, 0), (10, 90), (15, 90), (20, 180), (27, 180)] {
        let config = Arc::new(Config::default());
        let mut conns: Vec<_> = (0..10).map(|_| Connection::new(Arc::clone(&config))).collect();
        let (head, mut driver) = (head_with(fields, 8), BytesMut::with_capacity(1 << 16));
        let allocations = allocations_of_ten(|| {
            let mut ids = [None; 10];
            for (conn, id) in conns.iter_mut().zip(&mut ids) {
                driver.extend_from_slice(&head);
                conn.handle_read(driver.split());
                *id = started(conn);
            }
            for (conn, id) in conns.iter_mut().zip(ids) {
                answer(conn, id.unwrap(), 30, 1);
                conn.handle_written(usize::MAX);
            }
            assert!(conns.iter_mut().all(|conn| started(conn).is_none()));
            assert!(driver.try_reclaim(1 << 16));
        });
        assert_eq!(allocations, asked, "for a hundred requests of {fields} fields");
    }
}

/// A driver waits to have its buffer back, whatever was cut from it: here a head, and copied into that the next.
#[test]
fn no_buffer_of_a_driver_is_kept() {
    let mut conn = Connection::new(Config::default());
    let mut driver = BytesMut::with_capacity(1 << 20);
    driver.extend_from_slice(&[&head_of(600)[..], GET].concat());
    conn.handle_read(driver.split());
    serve(&mut conn, 1);
    assert!(driver.try_reclaim(1 << 20), "nobody holds a part of it");
}

/// A piece may be a part of a larger one.
#[test]
fn what_is_kept_is_as_large_as_it_shows() {
    let lost = || {
        // A part of its own of the size that was lent, which is all that the driver has of it.
        let mut conn = Connection::new(Config::default());
        drop(conn.read_buffer());
        let mut own = BytesMut::with_capacity(1 << 20).split_off((1 << 20) - 16 * 1024);
        own.extend_from_slice(GET);
        conn.handle_read(own);
        serve(&mut conn, 1);
    };
    let lent_again = || {
        // What is left of a driver's buffer is lent, as if it were all of its memory.
        let mut conn = Connection::new(Config::default());
        let mut own = BytesMut::with_capacity(1 << 20);
        drop(own.split_off(16 * 1024));
        own.extend_from_slice(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
        conn.handle_read(own);
        let id = started(&mut conn).unwrap();
        assert!(conn.exchange(id).receive().is_pending());
        read(&mut conn, &V[..10]);
        answer(&mut conn, id, 1, 1);
        conn.handle_written(usize::MAX);
        serve(&mut conn, 1);
    };
    let behind_others = || {
        // The last head takes the rest of a buffer over.
        let mut conn = with_reads_of(64 * 1024);
        let heads = [&GET.repeat(1800)[..], &head_of(64 * 1024 - 1800 * GET.len() - 12_000), &head_of(12_000)].concat();
        assert_eq!(heads.len(), 64 * 1024);
        read(&mut conn, &heads);
        serve(&mut conn, 1);
    };
    for run in [lost as fn(), lent_again, behind_others] {
        let (kept, shown) = on_a_new_thread(move || {
            let before = heap::held();
            run();
            (heap::held() - before, sansgi::spare_bytes())
        });
        assert!(kept <= MOST_BYTES && kept <= shown + 128, "{kept} bytes are kept, {shown} are shown");
    }
}

/// What is copied does not go into memory of a driver's, of which nobody knows how much it is.
#[test]
fn bytes_that_are_copied_do_not_pin_memory_of_a_driver() {
    let mut conn = Connection::new(Config::default());
    let mut own = BytesMut::with_capacity(1 << 20);
    drop(own.split_off(16 * 1024));
    own.extend_from_slice(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 16350\r\n\r\n");
    conn.handle_read(own);
    let id = started(&mut conn).unwrap();
    assert!(conn.exchange(id).receive().is_pending());
    conn.handle_bytes(&V[..16_350]);
    let Poll::Ready(ReceiveEvent::Request { body, .. }) = conn.exchange(id).receive() else { panic!("a body") };
    drop(conn);
    let before = heap::held();
    drop(body);
    let pinned = before - heap::held();
    assert!(pinned <= 4 * 16_350, "{pinned} bytes");
}

/// P3 where a thread keeps all that it can: a connection takes the largest pieces, one after the other.
#[test]
fn a_connection_holds_no_more_where_all_is_kept() {
    for size in [256, 1100, 2100, 3000, 4100, 9000, 16 * 1024] {
        let (held, bound) = on_a_new_thread(move || {
            let mut others = [1, 2, 4, 8, 16].map(|kibibytes| with_reads_of(kibibytes * 1024));
            let mut fill = || {
                for conn in &mut others {
                    read(conn, &head_with(50, 40));
                    serve(conn, 3900);
                }
            };
            let limits = Limits::default().max_head_bytes(size).max_target_bytes(64).max_trailer_bytes(size);
            let limits = limits.read_buffer_bytes(size).max_fields(3).high_water_bytes(1);
            let config = Arc::new(Config::builder().limits(limits).build().unwrap());
            let mut conn = Connection::new(Arc::clone(&config));
            let head = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\nx: ";
            let head = [head, &V[..size - head.len() - 4], b"\r\n\r\n"].concat();
            let mut most = 0;
            let mut look = |conn: &Connection| {
                let (copy, before) = (conn.clone(), heap::held());
                drop(copy);
                most = most.max(before - heap::held());
            };
            for piece in head.chunks(300) {
                fill();
                conn.handle_bytes(piece);
                look(&conn);
                if let Some(id) = started(&mut conn) {
                    fill();
                    conn.handle_bytes(&V[..size]);
                    look(&conn);
                    fill();
                    answer(&mut conn, id, 300, 0);
                    look(&conn);
                }
            }
            let before = heap::held();
            drop(conn);
            (most.max(before - heap::held()), config.memory_bound())
        });
        assert!(held <= bound, "{held} bytes, not {bound}, with limits of {size}");
    }
}

/// Where a thread ends, what it keeps may be gone before a connection of its own is.
#[test]
fn a_connection_may_outlive_what_its_thread_keeps() {
    struct Last(RefCell<Option<Connection>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let mut conn = self.0.borrow_mut().take().unwrap();
            for head in [head_of(600), head_with(40, 20)] {
                read(&mut conn, &head);
                serve(&mut conn, 900);
            }
        }
    }
    thread_local!(static LAST: Last = const { Last(RefCell::new(None)) });
    for comes_first in [false, true] {
        on_a_new_thread(move || {
            if comes_first {
                LAST.with(|_| ());
            }
            let mut conn = Connection::new(Config::default());
            read(&mut conn, &head_of(600));
            serve(&mut conn, 900);
            LAST.with(|last| *last.0.borrow_mut() = Some(conn));
        });
    }
}
