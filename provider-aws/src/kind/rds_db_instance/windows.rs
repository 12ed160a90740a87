//! The hours of backups and of maintenance.

const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
/// The shortest that RDS takes.
const SHORTEST: u32 = 30;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Where a window starts and how long it is, in minutes.
type Window = (u32, u32);

/// `02:00-03:00`.
pub(super) fn daily(text: &str) -> Option<Window> {
    let (from, to) = text.split_once('-')?;
    window(time(from)?, time(to)?, DAY)
}

/// `sun:03:30-sun:04:30`.
pub(super) fn weekly(text: &str) -> Option<Window> {
    let moment = |text: &str| {
        let (day, at) = text.split_once(':')?;
        let day = (0..).zip(DAYS).find(|(_, name)| *name == day)?.0;
        Some(day * DAY + time(at)?)
    };
    let (from, to) = text.split_once('-')?;
    window(moment(from)?, moment(to)?, WEEK)
}

/// Whether a daily and a weekly window share a minute.
pub(super) fn overlap(backup: &str, maintenance: &str) -> bool {
    let (Some((at, long)), Some((start, length))) = (daily(backup), weekly(maintenance)) else {
        return false;
    };
    (0..7).any(|day| {
        let at = day * DAY + at;
        (start + WEEK - at) % WEEK < long || (at + WEEK - start) % WEEK < length
    })
}

fn window(from: u32, to: u32, whole: u32) -> Option<Window> {
    let length = (to + whole - from) % whole;
    (length >= SHORTEST).then_some((from, length))
}

fn time(text: &str) -> Option<u32> {
    let number = |text: &str, limit: u32| {
        let number: u32 = text.parse().ok()?;
        (text.len() == 2 && number < limit).then_some(number)
    };
    let (hours, minutes) = text.split_once(':')?;
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::{daily, overlap, weekly};

    #[test]
    fn windows_are_read_as_rds_reads_them() {
        for (text, legal) in [
            ("02:00-03:00", true),
            ("23:45-00:15", true),
            ("02:00-02:29", false),
            ("2:00-03:00", false),
            ("24:00-25:00", false),
            ("02:00", false),
        ] {
            assert_eq!(daily(text).is_some(), legal, "{text}");
        }
        for (text, legal) in [
            ("sun:03:30-sun:04:30", true),
            ("sun:23:45-mon:00:15", true),
            ("sunday:03:30-sunday:04:30", false),
            ("03:30-04:30", false),
        ] {
            assert_eq!(weekly(text).is_some(), legal, "{text}");
        }
        for (backup, maintenance, both) in [
            ("02:00-03:00", "sun:03:30-sun:04:30", false),
            ("03:00-04:00", "sun:03:30-sun:04:30", true),
            ("04:29-05:00", "sun:03:30-sun:04:30", true),
            ("04:30-05:00", "sun:03:30-sun:04:30", false),
            ("23:30-00:30", "mon:00:00-mon:01:00", true),
            ("00:30-01:00", "sun:23:30-mon:00:30", false),
            ("00:15-01:00", "sun:23:30-mon:00:30", true),
        ] {
            assert_eq!(overlap(backup, maintenance), both, "{backup} {maintenance}");
        }
    }
}
