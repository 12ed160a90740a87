//! What the calls of a kind act on.

use super::When;

/// Where the rights to the calls of a kind end.
///
/// ARNs stand without `arn:<partition>:` and leave open `{region}`, `{account}`, `{set}`, `{name}`, and of a name in two
/// parts `{cluster}` and `{rest}`.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub(super) objects: &'static [&'static str],
    beside: &'static [(&'static str, &'static [&'static str])],
    pub(super) births: &'static [&'static str],
    unmarked: &'static [(&'static str, &'static [&'static str])],
    of_eks: &'static [(&'static str, &'static [&'static str])],
}

impl Reach {
    /// Ends at these: the kind's objects and what is on them. Those that no name tells apart are told apart by tags.
    pub const fn of(objects: &'static [&'static str]) -> Self {
        Self {
            objects,
            beside: &[],
            births: &[],
            unmarked: &[],
            of_eks: &[],
        }
    }
    /// Sets what single calls act on beside the object. Default: nothing.
    pub const fn beside(mut self, calls: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.beside = calls;
        self
    }
    /// Sets the calls that make an object which no name tells apart; they carry its tags. Default: none.
    pub const fn births(mut self, calls: &'static [&'static str]) -> Self {
        self.births = calls;
        self
    }
    /// Sets what single calls act on that AWS made with the object, and that no set has marked. Default: nothing.
    pub const fn unmarked(mut self, calls: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.unmarked = calls;
        self
    }
    /// Sets what single calls act on that EKS made for a cluster and marked as its own. Default: nothing.
    pub const fn of_eks(mut self, calls: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.of_eks = calls;
        self
    }

    /// What one call acts on beside the object, and under which condition.
    pub(super) fn more(&self, action: &str) -> impl Iterator<Item = (&'static str, When)> {
        let of = |calls: &'static [(&'static str, &'static [&'static str])], when: When| {
            let here = calls.iter().filter(move |(call, _)| *call == action);
            here.flat_map(|(_, arns)| arns.iter())
                .map(move |arn| (*arn, when.clone()))
        };
        of(self.beside, When::Always)
            .chain(of(self.unmarked, When::Free))
            .chain(of(self.of_eks, When::OfEks))
    }
}
