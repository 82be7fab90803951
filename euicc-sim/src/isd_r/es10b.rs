//! ES10b: mutual authentication, download, notifications.

pub(super) mod authenticate_server;
pub(super) mod cancel_session;
pub(super) mod get_euicc_challenge;
pub(super) mod get_euicc_info;
pub(super) mod get_rat;
pub(super) mod list_notification;
pub(super) mod load_crl;
pub(super) mod prepare_download;
pub(super) mod remove_notification_from_list;
pub(super) mod retrieve_notifications_list;
