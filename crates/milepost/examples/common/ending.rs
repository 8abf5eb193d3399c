//! How a program ends: if it has failed, with what went wrong, in words.

use std::process::ExitCode;

use milepost::BoxError;

pub(crate) fn ending(ended: Result<(), BoxError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
