//! The packs that come with the program.

macro_rules! packs {
    ($($name:literal),+ $(,)?) => {
        &[$((concat!($name, ".toml"), include_str!(concat!("../../packs/", $name, ".toml")))),+]
    };
}

/// The packs that come with the program: name of the file and its text. They are drafts; a lawyer is to check them
/// before anybody relies on them, and every value can be edited in a copy.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    packs![
        "be",
        "ca",
        "ca-qc",
        "ch",
        "de",
        "default-strict",
        "dk",
        "es",
        "eu-base",
        "fr",
        "fr-contract",
        "fr-emergency",
        "fr-insurance-telesales",
        "fr-mifid",
        "ma-employee",
        "pci",
        "uk",
        "uk-fca",
        "us-ca",
        "us-federal",
    ]
}
