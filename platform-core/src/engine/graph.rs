//! Which resource waits for which.

use crate::value::ResourceId;
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, HashMap};

/// A directed graph without cycles over resource ids. Building it is linear.
#[derive(Clone, Debug)]
pub struct Graph {
    ids: Vec<ResourceId>,
    index: HashMap<ResourceId, usize>,
    dependencies: Edges,
    dependants: Edges,
    heights: Vec<u32>,
}

/// The neighbours of every node, one after the other.
#[derive(Clone, Debug, Default)]
struct Edges {
    /// Where those of a node end.
    ends: Vec<usize>,
    neighbours: Vec<usize>,
}

impl Edges {
    fn of(&self, node: usize) -> &[usize] {
        let start = node.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.neighbours[start..self.ends[node]]
    }

    /// From the other side.
    fn turned(&self) -> Self {
        let mut ends = vec![0; self.ends.len()];
        for &node in &self.neighbours {
            ends[node] += 1;
        }
        // First where they start; each is moved on to its end while they are filled in.
        let mut start = 0;
        for end in &mut ends {
            start += std::mem::replace(end, start);
        }
        let mut neighbours = vec![0; self.neighbours.len()];
        for node in 0..self.ends.len() {
            for &other in self.of(node) {
                neighbours[ends[other]] = node;
                ends[other] += 1;
            }
        }
        Self { ends, neighbours }
    }
}

impl Graph {
    /// A graph from nodes and what each needs first.
    ///
    /// # Errors
    /// `Invalid` for a node given twice, a dependency that is no node, or a cycle, which is shown as one path.
    pub fn new(nodes: impl IntoIterator<Item = (ResourceId, BTreeSet<ResourceId>)>) -> Result<Self> {
        let (ids, needs): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        Self::of(ids, |node, need| needs[node].iter().try_for_each(need))
    }

    /// The same, where `needs` tells by a node's position what it needs, each once or more often.
    pub(super) fn of(
        ids: Vec<ResourceId>,
        needs: impl Fn(usize, &mut dyn FnMut(&ResourceId) -> Result<()>) -> Result<()>,
    ) -> Result<Self> {
        let mut index = HashMap::with_capacity(ids.len());
        for (position, id) in ids.iter().enumerate() {
            if index.insert(id.clone(), position).is_some() {
                return Err(Error::new(ErrorKind::Invalid, "two resources have one id").with_context("resource", id));
            }
        }
        let mut dependencies = Edges::default();
        dependencies.ends.reserve_exact(ids.len());
        for (position, node) in ids.iter().enumerate() {
            let start = dependencies.neighbours.len();
            needs(position, &mut |id| {
                let target = *index.get(id).ok_or_else(|| {
                    Error::new(ErrorKind::Invalid, "a dependency that no resource makes")
                        .with_context("resource", node)
                        .with_context("dependency", id)
                })?;
                if !dependencies.neighbours[start..].contains(&target) {
                    dependencies.neighbours.push(target);
                }
                Ok(())
            })?;
            dependencies.ends.push(dependencies.neighbours.len());
        }
        let mut graph = Self {
            ids,
            index,
            dependants: dependencies.turned(),
            dependencies,
            heights: Vec::new(),
        };
        graph.heights = graph.measure()?;
        Ok(graph)
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The position of an id.
    pub fn position(&self, id: &ResourceId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// What a node needs first.
    pub fn dependencies(&self, position: usize) -> &[usize] {
        self.dependencies.of(position)
    }

    /// What waits for a node.
    pub fn dependants(&self, position: usize) -> &[usize] {
        self.dependants.of(position)
    }

    /// The longest chain of nodes that waits for this one: those go first.
    pub fn height(&self, position: usize) -> u32 {
        self.heights[position]
    }

    /// Kahn's algorithm from the end: a node is measured when all that wait for it are.
    fn measure(&self) -> Result<Vec<u32>> {
        let mut heights = vec![0; self.len()];
        let mut open: Vec<usize> = (0..self.len()).map(|node| self.dependants.of(node).len()).collect();
        let mut queue: Vec<usize> = (0..self.len()).filter(|&node| open[node] == 0).collect();
        let mut measured = 0;
        while let Some(node) = queue.pop() {
            measured += 1;
            for &dependency in self.dependencies.of(node) {
                heights[dependency] = heights[dependency].max(heights[node] + 1);
                open[dependency] -= 1;
                if open[dependency] == 0 {
                    queue.push(dependency);
                }
            }
        }
        if measured == self.len() {
            Ok(heights)
        } else {
            Err(self.cycle(&open))
        }
    }

    /// One concrete cycle among the nodes that could not be measured.
    fn cycle(&self, open: &[usize]) -> Error {
        let Some(start) = open.iter().position(|&count| count > 0) else {
            return Error::new(ErrorKind::Internal, "no cycle");
        };
        let mut path = vec![start];
        let mut seen = HashMap::from([(start, 0)]);
        loop {
            let last = path[path.len() - 1];
            // An unmeasured node has an unmeasured dependant, so this walk closes a cycle.
            let Some(&next) = self.dependants.of(last).iter().find(|&&node| open[node] > 0) else {
                return Error::new(ErrorKind::Internal, "no cycle");
            };
            if let Some(&from) = seen.get(&next) {
                let mut names: Vec<String> = path[from..].iter().map(|&node| self.ids[node].label()).collect();
                names.push(self.ids[next].label());
                names.reverse();
                return Error::new(ErrorKind::Invalid, format!("a cycle: {}", names.join(" needs ")));
            }
            seen.insert(next, path.len());
            path.push(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;
    use crate::value::ResourceId;
    use std::collections::BTreeSet;

    fn id(name: &str) -> ResourceId {
        format!("k8s/a:ConfigMap/{name}").parse().unwrap()
    }

    fn graph(edges: &[(&str, &[&str])]) -> crate::Result<Graph> {
        Graph::new(
            edges
                .iter()
                .map(|(name, needs)| (id(name), needs.iter().map(|n| id(n)).collect::<BTreeSet<_>>())),
        )
    }

    #[test]
    fn heights_count_the_longest_chain_behind() {
        let graph = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b", "a"]), ("d", &[])]).unwrap();
        let heights: Vec<u32> = ["a", "b", "c", "d"]
            .iter()
            .map(|n| graph.height(graph.position(&id(n)).unwrap()))
            .collect();
        assert_eq!(heights, [2, 1, 0, 0]);
    }

    #[test]
    fn contradictions_are_named() {
        for (edges, text) in [
            (
                &[("x", &[][..]), ("a", &["b"][..]), ("b", &["c"]), ("c", &["a"])][..],
                "a cycle: ",
            ),
            (&[("a", &["a"][..])][..], "a cycle: ConfigMap a needs ConfigMap a"),
            (&[("a", &["z"][..])][..], "a dependency that no resource makes"),
            (&[("a", &[][..]), ("a", &[][..])][..], "two resources have one id"),
        ] {
            let message = graph(edges).unwrap_err().to_string();
            assert!(message.contains(text), "{message}");
        }
        let cycle = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])])
            .unwrap_err()
            .to_string();
        assert_eq!(cycle.matches(" needs ").count(), 3, "{cycle}");
    }
}
