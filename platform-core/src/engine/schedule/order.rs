//! What waits for what: the plan's graph among what makes, ranks among what removes.

use super::{Node, Phase, Run};
use crate::engine::Action;
use std::collections::BTreeMap;

impl Run<'_> {
    /// Edges of the plan's graph among what makes; what removes comes after all of that, rank by rank.
    pub(super) fn connect(&mut self) {
        let removes = |node: &Node| matches!(node.action, Action::Delete | Action::Release);
        let graph = &self.wishes.graph;
        let mut ranks: BTreeMap<(bool, u16), Vec<usize>> = BTreeMap::new();
        let mut makers = Vec::new();
        let mut by_graph: Vec<Option<usize>> = vec![None; graph.len()];
        for position in 0..self.nodes.len() {
            if removes(&self.nodes[position]) {
                // What lies in a cluster goes before the cluster.
                let inner = self.engine.cluster_of(self.nodes[position].step.id.place()).is_some();
                ranks
                    .entry((inner, self.nodes[position].facts.rank))
                    .or_default()
                    .push(position);
                continue;
            }
            makers.push(position);
            let Some(place_in_graph) = self.nodes[position].wish else {
                continue;
            };
            self.nodes[position].priority = graph.height(place_in_graph);
            by_graph[place_in_graph] = Some(position);
        }
        for (place_in_graph, from) in by_graph.iter().enumerate() {
            let Some(from) = *from else { continue };
            // A dependency that stands needs no node, but what it waits for itself has none either.
            for &dependant in graph.dependants(place_in_graph) {
                if let Some(to) = by_graph[dependant] {
                    self.edge(from, to);
                }
            }
        }
        self.gate(&makers, ranks.into_values().rev().collect());
        for position in 0..self.nodes.len() {
            if self.nodes[position].phase == Phase::Pending(0) {
                self.ready
                    .push((self.nodes[position].priority, std::cmp::Reverse(position)));
            }
        }
    }

    pub(super) fn edge(&mut self, from: usize, to: usize) {
        self.nodes[from].dependants.push(to);
        if let Phase::Pending(count) = &mut self.nodes[to].phase {
            *count += 1;
        }
    }

    /// Chains waves of nodes so that a wave starts when the one before it is through. Large waves meet in the
    /// first node of the later one, which keeps the number of edges linear.
    pub(super) fn gate(&mut self, makers: &[usize], waves: Vec<Vec<usize>>) {
        let mut before: Vec<usize> = makers.to_vec();
        for wave in waves {
            let every = before.len().saturating_mul(wave.len()) <= 10_000;
            let Some((&first, fellows)) = wave.split_first() else {
                continue;
            };
            for &position in &before {
                self.edge(position, first);
                for &fellow in fellows.iter().filter(|_| every) {
                    self.edge(position, fellow);
                }
            }
            for &fellow in fellows.iter().filter(|_| !every) {
                self.edge(first, fellow);
            }
            before = wave;
        }
    }
}
