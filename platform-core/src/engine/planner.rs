use super::{Engine, Plan, PlanRequest};
use crate::{Error, ErrorKind, Result};

impl Engine {
    /// What making the request true would do. Reads only, takes no lock.
    ///
    /// # Errors
    /// When a place cannot be read, or the request is contradictory (unknown kind, cycle, illegal name).
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan> {
        Err(Error::new(ErrorKind::Unsupported, format!("set {}", request.set)))
    }
}
