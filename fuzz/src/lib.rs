//! What several fuzz targets need. `CONTRIBUTING.md` says how they are run.

pub mod network;
pub mod pointer;
pub mod settings;
