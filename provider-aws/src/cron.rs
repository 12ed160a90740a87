//! Schedules as AWS writes them: six fields, days of the week from 1 for Sunday, and one of the two days left open.

use platform_core::value::Schedule;
use platform_core::{Error, ErrorKind, Result};
use std::collections::BTreeSet;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// `0 2 * * 0` as `cron(0 2 ? * 1 *)`.
///
/// # Errors
/// `Unsupported` where day of month and day of week are both given: either one matches in cron, and AWS takes only one.
pub(crate) fn of(schedule: &Schedule) -> Result<String> {
    let text = schedule.as_str();
    let fields: Vec<&str> = text.split(' ').collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(Error::new(ErrorKind::Internal, format!("{text:?} has not five fields")));
    };
    let days = numbers(day, 1..=31, &[], 1);
    // Both 0 and 7 are Sunday, which is 1 on AWS.
    let weekdays: BTreeSet<u32> = numbers(weekday, 0..=7, &DAYS, 0)
        .iter()
        .map(|day| day % 7 + 1)
        .collect();
    let (day, weekday) = if *weekday == "*" {
        (written(&days, 31), "?".to_owned())
    } else if *day == "*" {
        ("?".to_owned(), written(&weekdays, 7))
    } else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{text:?} comes on days of the month and on days of the week, and AWS takes only one of them"),
        )
        .with_help("leave one of the two at `*`"));
    };
    Ok(format!(
        "cron({} {} {day} {} {weekday} *)",
        written(&numbers(minute, 0..=59, &[], 0), 60),
        written(&numbers(hour, 0..=23, &[], 0), 24),
        written(&numbers(month, 1..=12, &MONTHS, 1), 12),
    ))
}

/// How many times within an hour it comes.
pub(crate) fn an_hour(schedule: &Schedule) -> usize {
    let minute = schedule.as_str().split(' ').next().unwrap_or_default();
    numbers(minute, 0..=59, &[], 0).len()
}

/// The numbers that a field stands for: `*`, numbers, names, ranges, steps, and lists of these.
fn numbers(field: &str, all: std::ops::RangeInclusive<u32>, names: &[&str], first: u32) -> BTreeSet<u32> {
    let number = |text: &str| {
        let word = names
            .iter()
            .zip(first..)
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        word.map(|(_, number)| number).or_else(|| text.parse().ok())
    };
    let mut found = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().unwrap_or(1).max(1)),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (Some(*all.start()), Some(*all.end())),
            Some((from, to)) => (number(from), number(to)),
            // `5/10` goes on to the end.
            None if part.contains('/') => (number(range), Some(*all.end())),
            None => (number(range), number(range)),
        };
        if let (Some(from), Some(to)) = (from, to) {
            found.extend((from..=to).step_by(step));
        }
    }
    found
}

/// Numbers as a list of ranges; `*` when all are there.
fn written(numbers: &BTreeSet<u32>, all: usize) -> String {
    if numbers.len() == all {
        return "*".to_owned();
    }
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let written = ranges.into_iter().map(|(from, to)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    });
    written.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{an_hour, of};
    use platform_core::value::Schedule;

    #[test]
    fn five_fields_become_six_that_mean_the_same() {
        for (cron, aws) in [
            ("0 2 * * *", Some("cron(0 2 * * ? *)")),
            ("0 2 * * 0", Some("cron(0 2 ? * 1 *)")),
            ("0 2 * * 7", Some("cron(0 2 ? * 1 *)")),
            ("0 3 * * SUN", Some("cron(0 3 ? * 1 *)")),
            ("30 4 * * 1-5", Some("cron(30 4 ? * 2-6 *)")),
            ("30 4 * * MON,WED,FRI", Some("cron(30 4 ? * 2,4,6 *)")),
            ("0 2 * * 5-7", Some("cron(0 2 ? * 1,6,7 *)")),
            ("0 2 1 * *", Some("cron(0 2 1 * ? *)")),
            ("0 2 1,15 */3 *", Some("cron(0 2 1,15 1,4,7,10 ? *)")),
            ("0 2 1 JAN-MAR *", Some("cron(0 2 1 1-3 ? *)")),
            ("0 */6 * * *", Some("cron(0 0,6,12,18 * * ? *)")),
            ("15 * * * *", Some("cron(15 * * * ? *)")),
            ("0 2 * * 0-6", Some("cron(0 2 ? * * *)")),
            ("0 2 15 * 1", None),
            ("0 2 */2 * 1", None),
        ] {
            let schedule: Schedule = cron.parse().unwrap();
            assert_eq!(of(&schedule).ok().as_deref(), aws, "{cron}");
        }
    }

    #[test]
    fn how_often_in_an_hour() {
        for (cron, times) in [("0 2 * * *", 1), ("*/15 * * * *", 4), ("0,30 2 * * *", 2)] {
            let schedule: Schedule = cron.parse().unwrap();
            assert_eq!(an_hour(&schedule), times, "{cron}");
        }
    }
}
