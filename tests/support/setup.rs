//! A case's `config` block: one line for each limit, timeout or policy, named as in the crate.

use std::time::Duration;

use sansgi::{Config, EarlyResponse, HalfClose, Limits, Timeouts};

use super::text::{escape, parse_bytes, parse_duration};

#[derive(Clone, Debug)]
pub struct Setup {
    pub config: Config,
    /// A driver reads no more than this at a time.
    pub read_buffer_bytes: usize,
}

impl Setup {
    pub fn parse(block: &str) -> Result<Self, String> {
        let mut limits = Limits::default();
        let mut timeouts = Timeouts::default();
        let mut builder = Config::builder();
        let mut read_buffer_bytes = 16 * 1024;
        for line in block.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(' ').ok_or_else(|| format!("expected `name value`, found {line:?}"))?;
            let unknown = || format!("no such value for {name}: {value:?}");
            let count = || value.parse::<usize>().map_err(|_| unknown());
            let long_count = || value.parse::<u64>().map_err(|_| unknown());
            let optional = || if value == "off" { Ok(None) } else { long_count().map(Some) };
            match name {
                "max_head_bytes" => limits = limits.max_head_bytes(count()?),
                "max_target_bytes" => limits = limits.max_target_bytes(count()?),
                "max_method_bytes" => limits = limits.max_method_bytes(count()?),
                "max_fields" => limits = limits.max_fields(count()?),
                "max_chunk_line_bytes" => limits = limits.max_chunk_line_bytes(count()?),
                "max_chunk_extension_bytes" => limits = limits.max_chunk_extension_bytes(long_count()?),
                "max_trailer_bytes" => limits = limits.max_trailer_bytes(count()?),
                "max_body_bytes" => limits = limits.max_body_bytes(optional()?),
                "drain_budget_bytes" => limits = limits.drain_budget_bytes(long_count()?),
                "read_buffer_bytes" => {
                    read_buffer_bytes = count()?;
                    limits = limits.read_buffer_bytes(read_buffer_bytes);
                }
                "high_water_bytes" => limits = limits.high_water_bytes(count()?),
                "max_requests" => limits = limits.max_requests(optional()?),
                "idle" => timeouts = timeouts.idle(time(value)?),
                "head" => timeouts = timeouts.head(time(value)?),
                "body" => timeouts = timeouts.body(time(value)?),
                "body_rate" => {
                    let (rate, after) = value.split_once(' ').ok_or_else(unknown)?;
                    timeouts = timeouts.body_rate(rate.parse().map_err(|_| unknown())?, time(after)?);
                }
                "write" => timeouts = timeouts.write(time(value)?),
                "linger" => {
                    let (quiet, total) = value.split_once(' ').ok_or_else(unknown)?;
                    timeouts = timeouts.linger(time(quiet)?, time(total)?);
                }
                "shutdown" => timeouts = timeouts.shutdown(time(value)?),
                "half_close" => {
                    builder = builder.half_close(match value {
                        "disconnect" => HalfClose::Disconnect,
                        "ignore" => HalfClose::Ignore,
                        "abort" => HalfClose::Abort,
                        _ => return Err(unknown()),
                    });
                }
                "early_response" => {
                    builder = builder.early_response(match value {
                        "drain" => EarlyResponse::Drain,
                        "close" => EarlyResponse::Close,
                        _ => return Err(unknown()),
                    });
                }
                "connect" => {
                    builder = builder.connect(match value {
                        "on" => true,
                        "off" => false,
                        _ => return Err(unknown()),
                    });
                }
                "default_header" => {
                    let (name, value) = value.split_once(": ").ok_or_else(unknown)?;
                    builder = builder.default_header(parse_bytes(name)?, parse_bytes(value)?);
                }
                _ => return Err(format!("no such setting: {}", escape(name.as_bytes()))),
            }
        }
        let config = builder.limits(limits).timeouts(timeouts).build().map_err(|error| error.to_string())?;
        Ok(Self { config, read_buffer_bytes })
    }
}

fn time(value: &str) -> Result<Duration, String> {
    if value == "off" { Ok(Duration::MAX) } else { parse_duration(value) }
}
