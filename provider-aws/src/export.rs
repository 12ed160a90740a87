//! Wished resources in the languages of others, so that their tools can judge them: nothing is read, nothing is written.

mod cloudformation;
mod of;
mod terraform;

pub use cloudformation::cloudformation;
pub use terraform::terraform;
