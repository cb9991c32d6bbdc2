#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sansgi_fuzz::check("alloc", data));
