//! The laws that the fuzz targets check.

#[path = "../../../fuzz/laws/frame.rs"]
pub(crate) mod frame;
#[path = "../../../fuzz/laws/vetting.rs"]
pub(crate) mod vetting;
