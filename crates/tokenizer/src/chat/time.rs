//! `strftime_now`: today's date, which some templates write.

use jiff::ZonedDateTime;
use minijinja::{Error, ErrorKind};

pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, &ZonedDateTime::now()).map_err(|cause| {
        let what = format!("strftime_now cannot write {format:?}: {cause}");
        Error::new(ErrorKind::InvalidOperation, what)
    })
}
