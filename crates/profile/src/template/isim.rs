//! Templates of ADF.ISIM: created by default, and optional.

use super::{Element, Shape, ber_tlv, directory, linear_fixed, transparent};

pub(super) const ISIM: &[Element] = &[
    directory("adf-isim", 0x0000, Shape::Adf).mandatory(),
    transparent("ef-impi", 0x6F02, 0, 2).sfi(0x02).mandatory().content_required(),
    linear_fixed("ef-impu", 0x6F04, 1, 0, 2).sfi(0x04).mandatory().content_required(),
    transparent("ef-domain", 0x6F03, 0, 2).sfi(0x05).mandatory().content_required(),
    transparent("ef-ist", 0x6F07, 14, 2).sfi(0x07).mandatory().content_required(),
    transparent("ef-ad", 0x6FAD, 3, 10).sfi(0x03).default("000000"),
    linear_fixed("ef-arr", 0x6F06, 0, 0, 10).sfi(0x06).mandatory().content_required(),
];

pub(super) const OPT_ISIM: &[Element] = &[
    linear_fixed("ef-pcscf", 0x6F09, 1, 0, 2).content_required(),
    linear_fixed("ef-sms", 0x6F3C, 10, 176, 5).default("00FF...FF"),
    linear_fixed("ef-smsp", 0x6F42, 1, 38, 5).default("FF...FF"),
    transparent("ef-smss", 0x6F43, 2, 5).default("FFFF"),
    linear_fixed("ef-smsr", 0x6F47, 10, 30, 5).default("00FF...FF"),
    transparent("ef-gbabp", 0x6FD5, 0, 5).default("FF...FF"),
    linear_fixed("ef-gbanl", 0x6FD7, 0, 0, 2).default("FF...FF"),
    linear_fixed("ef-nafkca", 0x6FDD, 0, 0, 2).default("FF...FF"),
    linear_fixed("ef-uicciari", 0x6FE7, 0, 0, 2).content_required(),
    transparent("ef-frompreferred", 0x6FF7, 1, 2).default("00").since(2),
    ber_tlv("ef-imsconfigdata", 0x6FF8, 2).content_required().since(2),
    ber_tlv("ef-xcapconfigdata", 0x6FFC, 2).content_required().since(2),
    linear_fixed("ef-webrtcuri", 0x6FFA, 0, 0, 2).content_required().since(2),
    ber_tlv("ef-mudmidconfigdata", 0x6FFE, 2).content_required().since(2),
];
