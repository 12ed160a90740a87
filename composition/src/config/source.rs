//! The texts that a config is made of, and places in them.

/// A place in one of the texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    /// Which text; see [`Sources`].
    pub(super) source: usize,
    /// Line from 1; 0 for the text as a whole.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// Characters meant, within the line.
    pub(super) width: usize,
}

impl At {
    /// Whether the place is in the profile, which is always the lowest layer.
    pub(super) fn in_profile(self) -> bool {
        self.source == 0
    }

    /// A text as a whole.
    pub(super) fn whole(source: usize) -> Self {
        Self {
            source,
            ..Self::default()
        }
    }
}

/// What kind of layer a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Built into the library; its keys fill in what wanted blocks leave out.
    Profile,
    /// Shared by environments: keys of another provider are ignored.
    Base,
    /// The config itself, or a layer above it.
    Own,
    /// `key=value`.
    Override,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// The texts of a config, lowest layer first.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    pub(super) fn add(&mut self, name: impl Into<String>, text: impl Into<String>, kind: Kind) -> usize {
        self.0.push(Source {
            name: name.into(),
            text: text.into(),
            kind,
        });
        self.0.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn replace(&mut self, index: usize, name: &str, text: &str) {
        if let Some(source) = self.0.get_mut(index) {
            name.clone_into(&mut source.name);
            text.clone_into(&mut source.text);
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Source> {
        self.0.get(index)
    }

    pub(super) fn kind(&self, at: At) -> Kind {
        self.get(at.source).map_or(Kind::Own, |s| s.kind)
    }

    /// The topmost file's name: what the config is called.
    pub(super) fn name(&self) -> &str {
        let own = self.0.iter().rev().find(|s| s.kind == Kind::Own);
        own.or(self.0.last()).map_or("config", |s| s.name.as_str())
    }

    /// A text's name without folders.
    pub(super) fn short_name(&self, at: At) -> &str {
        self.get(at.source)
            .map_or("", |s| s.name.rsplit(['/', '\\']).next().unwrap_or(&s.name))
    }

    /// The line of a place, with what a terminal would act on replaced.
    pub(super) fn line(&self, at: At) -> String {
        let line = self
            .get(at.source)
            .and_then(|s| s.text.lines().nth(at.line.checked_sub(1)?))
            .unwrap_or_default();
        line.chars()
            .map(|c| {
                if c == '\t' {
                    ' '
                } else if c.is_control() {
                    '?'
                } else {
                    c
                }
            })
            .collect()
    }

    /// `base.yaml:9:12`, or the text's name alone.
    pub(super) fn describe(&self, at: At) -> String {
        let name = self.short_name(at);
        if at.line == 0 || self.kind(at) == Kind::Profile {
            name.to_owned()
        } else {
            format!("{name}:{}:{}", at.line, at.column)
        }
    }
}
