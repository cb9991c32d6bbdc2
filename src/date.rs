//! The `date` field's format, as a pure function of Unix seconds.

/// A moment in the format of the `date` field, `IMF-fixdate` (RFC 9110 §5.6.7).
///
/// The connection has no clock, so the driver makes one of these once a second, for all its connections.
///
/// # Examples
/// ```
/// assert_eq!(sansgi::Date::from_unix(784_111_777).as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date([u8; 29]);

const LAST_SECOND_OF_9999: u64 = 253_402_300_799;
const SECONDS_A_DAY: u64 = 86_400;

impl Date {
    /// From seconds since 1970-01-01T00:00:00Z. The format has four digits for the year: later moments are written as
    /// the last second of 9999.
    #[allow(clippy::arithmetic_side_effects, reason = "all of it is bounded by the last second of the year 9999")]
    pub fn from_unix(seconds: u64) -> Self {
        let seconds = seconds.min(LAST_SECOND_OF_9999);
        let (days, second) = (seconds / SECONDS_A_DAY, seconds % SECONDS_A_DAY);
        let (year, month, day) = civil(days);
        let weekday = name(&["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"], days % 7);
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = name(&months, month);

        let mut text = *b"???, ?? ??? ???? ??:??:?? GMT";
        let digits = |number: u64| {
            let digit = |number: u64| b'0'.saturating_add(u8::try_from(number % 10).unwrap_or(0));
            [digit(number / 10), digit(number)]
        };
        let mut put = |at: usize, bytes: &[u8]| {
            for (place, byte) in text.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
        };
        put(0, weekday.as_bytes());
        put(5, &digits(day));
        put(8, month.as_bytes());
        put(12, &digits(year / 100));
        put(14, &digits(year)); // its last two
        put(17, &digits(second / 3600));
        put(20, &digits(second / 60 % 60));
        put(23, &digits(second % 60));
        Self(text)
    }

    /// From the system's clock.
    ///
    /// # Examples
    /// ```
    /// assert!(sansgi::Date::now().as_str().ends_with(" GMT"));
    /// ```
    #[cfg(feature = "std")]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::from_unix(since.as_secs())
    }

    /// The text, 29 ASCII characters.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sansgi::Date::from_unix(0).as_str(), "Thu, 01 Jan 1970 00:00:00 GMT");
    /// ```
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 29] {
        &self.0
    }
}

impl core::fmt::Debug for Date {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Date({})", self.as_str())
    }
}

fn name(names: &[&'static str], index: u64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}

/// Year, month (from 0) and day (from 1) of a day since 1970-01-01, by counting: years of the Gregorian calendar have
/// 365 days, and one more when divisible by 4 but not by 100, or by 400.
#[allow(clippy::arithmetic_side_effects, reason = "bounded by the year 9999")]
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // Counted from 2000-03-01's era start, 0000-03-01: there the leap day is the last day of a year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 { (month_from_march + 2, 0) } else { (month_from_march - 10, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}
