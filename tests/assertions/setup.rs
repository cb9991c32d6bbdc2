//! Configurations that a target chooses from. An input names one by its number, and the last by 255: so that the inputs
//! which are kept go on to mean what they meant, another new one wants another such number.

use std::sync::{Arc, LazyLock};

use sansgi::{Config, EarlyResponse, HalfClose, Limits};

use super::oracles::{recogniser, subject};

/// A configuration, and what of it a check must know.
pub(crate) struct Setup {
    pub(crate) config: Arc<Config>,
    pub(crate) read_buffer_bytes: usize,
    pub(crate) high_water_bytes: usize,
    pub(crate) drain_budget_bytes: u64,
    /// Of each final response, beside the application's.
    pub(crate) default_headers: &'static [(&'static str, &'static str)],
}

impl Setup {
    pub(crate) fn of(number: u8) -> &'static Self {
        static ALL: LazyLock<Vec<Setup>> = LazyLock::new(all);
        let (last, others) = ALL.split_last().unwrap();
        if number == u8::MAX { last } else { &others[usize::from(number) % others.len()] }
    }
}

fn all() -> Vec<Setup> {
    const SERVER: &[(&str, &str)] = &[("server", "fuzz"), ("X-Tag", "default")];
    // As small as the things that a fuzzer makes, so that they are reached.
    let small = Limits::default()
        .max_head_bytes(200)
        .max_target_bytes(16)
        .max_method_bytes(8)
        .max_fields(6)
        .max_chunk_line_bytes(16)
        .max_chunk_extension_bytes(8)
        .max_trailer_bytes(40)
        .max_body_bytes(Some(40));
    let limits = [
        Limits::default(),
        small,
        Limits::default().max_requests(Some(2)),
        Limits::default(),
        // A whole request fits the buffer no more.
        Limits::default(),
        Limits::default(),
        Limits::default(),
    ];
    let sizes = [
        (16 * 1024, 64 * 1024, 64 * 1024),
        (512, 512, 16),
        (1024, 1, 8),
        (512, 64, 0),
        (7, 16, 12),
        (1, 1, 1),
        (1024, 64, 16),
    ];
    limits
        .into_iter()
        .zip(sizes)
        .enumerate()
        .map(|(number, (limits, (read_buffer_bytes, high_water_bytes, drain_budget_bytes)))| {
            let limits = limits
                .read_buffer_bytes(read_buffer_bytes)
                .high_water_bytes(high_water_bytes)
                .drain_budget_bytes(drain_budget_bytes);
            let mut builder = Config::builder().limits(limits).connect(number != 1);
            if number % 4 == 3 {
                builder = builder.half_close(HalfClose::Ignore).early_response(EarlyResponse::Close);
            }
            if number == 6 {
                builder = builder.half_close(HalfClose::Abort);
            }
            let default_headers = if number % 2 == 0 { SERVER } else { &[] };
            for &(name, value) in default_headers {
                builder = builder.default_header(name, value);
            }
            let config = Arc::new(builder.build().unwrap());
            Setup { config, read_buffer_bytes, high_water_bytes, drain_budget_bytes, default_headers }
        })
        .collect()
}

/// Limits for a connection and for the recogniser.
pub(crate) struct Shared {
    pub(crate) limits: recogniser::Limits,
    pub(crate) config: Arc<Config>,
}

impl Shared {
    pub(crate) fn of(number: u8) -> &'static Self {
        static ALL: LazyLock<[Shared; 4]> = LazyLock::new(|| {
            let small = recogniser::Limits {
                head_bytes: 120,
                method_bytes: 7,
                target_bytes: 12,
                fields: 4,
                chunk_line_bytes: 12,
                chunk_extension_bytes: 6,
                trailer_bytes: 30,
                body_bytes: 20,
                connect: true,
            };
            let tiny = recogniser::Limits {
                head_bytes: 60,
                method_bytes: 3,
                target_bytes: 3,
                fields: 2,
                chunk_line_bytes: 3,
                chunk_extension_bytes: 0,
                trailer_bytes: 6,
                body_bytes: 4,
                connect: false,
            };
            let connect = recogniser::Limits { connect: true, ..recogniser::Limits::DEFAULT };
            [recogniser::Limits::DEFAULT, small, tiny, connect]
                .map(|limits| Shared { config: subject::config(&limits), limits })
        });
        &ALL[usize::from(number) % ALL.len()]
    }
}
