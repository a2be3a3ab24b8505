//! The catalogue of event types: for each, what its `data` holds, a JSON
//! Schema and an example.

use serde_json::value::RawValue;

use crate::fault::Faults;
use crate::resource::Resource;

/// Checks the known members of `data`.
pub fn check_data(_resource: Resource, _data: &RawValue, _faults: &mut Faults) {}
