//! The `provisioning` room of Yunwei.

pub mod shapes;
