use super::super::plan::Step;

/// Prints with or without ANSI colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) colour: bool,
}

/// What a text means; its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Change,
    Bad,
    Calm,
    Faint,
    Strong,
}

impl Style {
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Change => "33",
            Tone::Bad => "31",
            Tone::Calm => "36",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Mark, word and tone of a step.
pub(super) fn verb(step: &Step) -> (&'static str, &'static str, Tone) {
    let word = step.word();
    let (mark, tone) = mark(word);
    (mark, word, tone)
}

/// Mark and tone of a step's word.
pub(super) fn mark(word: &str) -> (&'static str, Tone) {
    match word {
        "create" => ("+", Tone::Good),
        "grow" => ("!", Tone::Change),
        "adopt" => ("<", Tone::Calm),
        "keep" => ("=", Tone::Calm),
        "replace" => ("-/+", Tone::Bad),
        "delete" => ("-", Tone::Bad),
        "blocked" => ("x", Tone::Bad),
        "wait" | "unchanged" => (".", Tone::Faint),
        _ => ("~", Tone::Change),
    }
}

/// `12 ms`, `0.3 s`, `14 s`, `2 min 5 s`, `3 h`.
pub(super) fn span(duration: std::time::Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 if millis < 100 => format!("{:.2} s", duration.as_secs_f64().max(0.01)),
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `40 s ago`, `3 min ago`, `2 h ago`, `5 d ago`.
pub(in super::super) fn ago(duration: std::time::Duration) -> String {
    match duration.as_secs() {
        0..2 => "just now".to_owned(),
        seconds @ 2..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} ago", span(std::time::Duration::from_secs(seconds))),
    }
}
