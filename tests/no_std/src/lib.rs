//! Serves one request without `std`.
#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

use sansgi::{Action, Config, Connection, Instant, SendEvent};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Never frees: enough for a proof that links.
struct Nothing;

unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

/// All of the machine that a server reaches: what it does not call would not be linked.
#[unsafe(no_mangle)]
pub extern "C" fn bytes_of_a_response() -> usize {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(b"POST / HTTP/1.1\r\nhost: [::1]:80\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    let Action::Start(id, request) = conn.next_action(Instant::ZERO) else { return 0 };
    let mut exchange = conn.exchange(id);
    let _ = exchange.receive();
    let headers: &[(&[u8], &[u8])] = &[(b"x-path", request.raw_path())];
    let _ = exchange.send(SendEvent::ResponseStart { status: 200, headers, trailers: false });
    let _ = exchange.send(SendEvent::ResponseBody { body: Default::default(), more_body: false });
    conn.outgoing().map(<[u8]>::len).sum()
}
