//! The table of cases, with one file for each function.

mod authenticate_client;
mod cancel_session;
mod es2plus;
mod get_bound_profile_package;
mod handle_download_progress_info;
mod handle_notification;
mod http;
mod initiate_authentication;

use crate::case::Case;

/// The confirmation code of all orders with a confirmation code.
const CODE: &str = "12345678";

/// Returns all cases, in the order of SGP.23.
pub fn table() -> Vec<Case> {
    [
        es2plus::cases(),
        handle_download_progress_info::cases(),
        initiate_authentication::cases(),
        get_bound_profile_package::cases(),
        authenticate_client::cases(),
        handle_notification::cases(),
        cancel_session::cases(),
        http::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn titles_are_unique() {
        let names: Vec<_> = table().into_iter().map(|case| (case.function, case.title)).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
