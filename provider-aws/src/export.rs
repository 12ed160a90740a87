//! Wished resources in the languages of others, so that their tools can judge them: nothing is read, nothing is written.

mod terraform;

pub use terraform::terraform;
