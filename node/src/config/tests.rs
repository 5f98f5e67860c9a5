//! A configuration is checked as a whole, and the nearest source wins.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::check::{Machine, check};
use super::raw::RawConfig;
use super::{Config, Faults, KEYS};

const SAMPLE: &str = include_str!("../../../deploy/samples/origo.toml");

fn checked(file: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, Faults> {
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let flags = flags.iter().map(|(name, value)| (*name, value.to_string()));
    let raw = RawConfig::collect(Some((Path::new("origo.toml"), file)), variables, flags);
    let machine = Machine { cores: 2, read_file: &no_file, rust_log: None };
    check(raw, &machine)
}

fn no_file(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn faulty_keys(faults: &Faults) -> Vec<&str> {
    faults.0.iter().map(|fault| fault.key.as_str()).collect()
}

#[test]
fn without_any_setting_a_node_runs_on_loopback_with_development_keys() {
    let config = checked("", &[], &[]).unwrap();
    assert_eq!(config.url, "ws://127.0.0.1:7880");
    assert_eq!(config.quic.port(), 7881);
    assert_eq!(config.metrics.to_string(), "127.0.0.1:7882");
    assert_eq!(config.media.iter().map(|media| media.port()).collect::<Vec<_>>(), [7883, 7884]);
    assert!(config.keys.0.contains_key("devkey"));
    assert!(config.bwe && !config.demo);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let port = |variables: &[(&str, &str)], flags: &[(&'static str, &str)]| {
        checked("port = 1000\n", variables, flags).unwrap().http.port()
    };
    assert_eq!(port(&[], &[]), 1000);
    assert_eq!(port(&[("ORIGO_PORT", "2000")], &[]), 2000);
    assert_eq!(port(&[("ORIGO_PORT", "2000")], &[("port", "3000")]), 3000);
}

#[test]
fn all_faults_are_reported_together_with_value_source_and_what_is_accepted() {
    let file = "latitude = 91\nlongitude = 8.0\nwokers = 2\nworkers = 0\n[keys.app]\nsecret = \"\"\n";
    let faults = checked(file, &[("ORIGO_BWE", "perhaps")], &[("quic_port", "many")]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["wokers", "latitude", "quic_port", "workers", "keys.app.secret", "bwe"]);
    let report = faults.to_string();
    assert!(report.starts_with("the configuration has 6 faults:"), "{report}");
    assert!(report.contains("latitude = 91 (origo.toml): degrees from -90 to 90"), "{report}");
    assert!(report.contains("bwe = \"perhaps\" (ORIGO_BWE): true or false"), "{report}");
    assert!(report.contains("quic_port = \"many\" (--quic-port): a whole number from 1 to 65535"), "{report}");
}

#[test]
fn what_is_no_toml_is_one_fault() {
    let faults = checked("port = = 1", &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["file"]);
}

#[test]
fn a_node_that_others_reach_needs_addresses_keys_and_a_mesh_secret() {
    let faults = checked("bind = \"0.0.0.0\"\ndemo = true\n", &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["advertise", "mesh_secret", "api_key", "demo"]);
}

#[test]
fn media_may_have_an_address_of_its_own_which_clients_are_told() {
    let config = checked("media_bind = \"192.0.2.1\"\nworkers = 1\n", &[], &[]).unwrap();
    assert_eq!(config.media, ["192.0.2.1:7883".parse().unwrap()]);
    assert_eq!(config.media_advertise, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!((config.http.ip(), config.advertise), (Ipv4Addr::LOCALHOST.into(), vec![Ipv4Addr::LOCALHOST.into()]));
    let faults = checked("media_bind = \"0.0.0.0\"\n", &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["media_bind"]);
}

#[test]
fn a_secret_is_never_shown() {
    let faults =
        checked("bind = \"192.0.2.1\"\n[keys.app]\nsecret = \"hunter2\"\n", &[("ORIGO_MESH_SECRET", "hunter2")], &[]);
    let report = faults.unwrap_err().to_string();
    assert!(
        report.contains("mesh_secret = … (ORIGO_MESH_SECRET)") && report.contains("keys.app.secret = …"),
        "{report}"
    );
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn ports_that_would_collide_are_refused() {
    let faults = checked("port = 7000\nmetrics_port = 7000\nmedia_port = 7001\n", &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["metrics_port", "quic_port"]);
}

#[test]
fn a_known_city_brings_its_coordinates() {
    let config = checked("region = \"frankfurt\"\n", &[], &[]).unwrap();
    assert_eq!((config.latitude, config.longitude), (50.11, 8.68));
}

#[test]
fn a_secret_file_that_cannot_be_read_is_a_fault() {
    let faults = checked("mesh_secret_file = \"/nowhere\"\n", &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["mesh_secret_file"]);
}

const TWO_KEYS: &str = "[keys.one]\nsecret = \"s\"\n[keys.two]\nsecret = \"t\"\nproject = \"other\"\n";

#[test]
fn each_webhook_is_signed_by_its_own_key_and_hears_of_its_project() {
    let file = "[[webhooks]]\nurl = \"https://a.example/x\"\napi_key = \"one\"\n\
        [[webhooks]]\nurl = \"http://b.example\"\napi_key = \"two\"\n";
    let webhooks = checked(&format!("{file}{TWO_KEYS}"), &[], &[]).unwrap().webhooks.unwrap();
    let of = |project| webhooks.of(project).map(|one| (one.url.as_str(), one.api_key.as_str())).collect::<Vec<_>>();
    assert_eq!(of("default"), [("https://a.example/x", "one")]);
    assert_eq!(of("other"), [("http://b.example", "two")]);
    let urls = [("ORIGO_WEBHOOK_URLS", "http://c/,http://d/"), ("ORIGO_WEBHOOK_API_KEY", "two")];
    assert_eq!(checked(TWO_KEYS, &urls, &[]).unwrap().webhooks.unwrap().of("other").count(), 2);
    assert!(checked(TWO_KEYS, &[], &[]).unwrap().webhooks.is_none());
}

#[test]
fn every_fault_of_a_webhook_is_named() {
    let file = "webhook_ca_file = \"/nowhere\"\n[[webhooks]]\nurl = \"ftp://a\"\n\
        [[webhooks]]\nurl = \"http://a\"\napi_key = \"three\"\n[[webhooks]]\nurl = \"http://a\"\n\
        [[webhooks]]\nurl = \"http://a\"\nsecret = \"s\"\n\
        [[webhooks]]\nurl = \"http://a\"\napi_key = \"one\"\n[[webhooks]]\nurl = \"http://a\"\napi_key = \"one\"\n";
    let faults = checked(&format!("{file}{TWO_KEYS}"), &[], &[]).unwrap_err();
    let keys = ["webhooks[0].url", "webhooks[1].api_key", "webhooks[2].api_key", "webhooks[3]", "webhooks[5]"];
    assert_eq!(faulty_keys(&faults), [&keys[..], &["webhook_ca_file"]].concat());
    let signer = checked(TWO_KEYS, &[("ORIGO_WEBHOOK_URLS", "http://a")], &[]).unwrap_err();
    assert_eq!(faulty_keys(&signer), ["webhook_api_key"]);
    assert_eq!(faulty_keys(&checked("webhooks = 7\n", &[], &[]).unwrap_err()), ["webhooks"]);
}

#[test]
fn a_node_stands_where_its_region_is_unless_it_says_otherwise() {
    let land = |file: &str| {
        let config = checked(file, &[], &[]).unwrap();
        (config.country, config.continent)
    };
    assert_eq!(land("region = \"frankfurt\"\n"), ("DE".into(), "EU".into()));
    assert_eq!(land("country = \"nz\"\n"), ("NZ".into(), "OC".into()));
    assert_eq!(land("country = \"NZ\"\ncontinent = \"AS\"\n"), ("NZ".into(), "AS".into()));
    assert_eq!(land("region = \"lab\"\n"), (String::new(), String::new()));
    let variables = [("ORIGO_COUNTRY", "FR"), ("ORIGO_RELAY_POLICY", "star")];
    let config = checked("", &variables, &[("relay_policy", "mesh")]).unwrap();
    assert_eq!((config.country.as_str(), config.routing.policy.name()), ("FR", "mesh"));
}

#[test]
fn media_leave_by_one_of_two_ways() {
    use origo_node_core::media::Egress;
    assert_eq!(checked("", &[], &[]).unwrap().egress, Egress::Own);
    assert_eq!(checked("egress = \"str0m\"\n", &[], &[]).unwrap().egress, Egress::Str0m);
    let faults = checked("egress = \"fast\"\n", &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["egress"]);
}

#[test]
fn prices_and_places_of_rooms_are_read() {
    let file = "region = \"frankfurt\"\n[prices]\nocean = 9\nregion = 0.5\n\
        [[prices.links]]\nfrom = \"frankfurt\"\nto = \"virginia\"\nprice = 2.5\n\
        [[residency]]\nrooms = \"clinic-*\"\ncountries = [\"DE\", \"at\"]\n";
    let routing = checked(file, &[], &[]).unwrap().routing;
    assert_eq!((routing.prices.region, routing.prices.continent, routing.prices.ocean), (0.5, 1.0, 9.0));
    assert_eq!(routing.prices.links[&("frankfurt".to_owned(), "virginia".to_owned())], 2.5);
    assert_eq!(routing.residency.countries_of_name("clinic-1"), ["DE", "AT"]);
    assert_eq!(checked("", &[], &[]).unwrap().routing.policy.name(), "tree");
}

#[test]
fn every_fault_of_routing_is_named() {
    let file = "country = \"ZZ\"\ncontinent = \"Europe\"\nrelay_policy = \"ring\"\n\
        [prices]\nocean = -1\nmoon = 2\nlinks = [{ from = \"a\", to = \"b\" }, { from = \"a\", price = 1 }]\n\
        [[residency]]\nrooms = \"\"\ncountries = [\"DE\"]\n[[residency]]\nrooms = \"a\"\ncountries = []\n\
        [[residency]]\nrooms = \"a\"\ncountries = [\"Germany\"]\n[[residency]]\nroom = \"a\"\n";
    let faults = checked(file, &[], &[]).unwrap_err();
    let keys = [
        "country",
        "continent",
        "relay_policy",
        "prices.links[0]",
        "prices.links[1]",
        "prices.moon",
        "prices.ocean",
        "residency[0]",
        "residency[1]",
        "residency[2]",
        "residency[3]",
    ];
    let mut found = faulty_keys(&faults);
    found[3..7].sort_unstable();
    assert_eq!(found, keys);
    let report = faults.to_string();
    assert!(report.contains("relay_policy = \"ring\" (origo.toml): one of tree, direct, star, mesh"), "{report}");
    assert!(report.contains("prices.ocean = -1 (origo.toml): a price: a number from 0 to 1000000"), "{report}");
    let rule = "[[residency]]\nrooms = \"a\"\ncountries = [\"DE\"]\n";
    assert_eq!(faulty_keys(&checked(rule, &[], &[]).unwrap_err()), ["country"]);
    assert_eq!(faulty_keys(&checked("prices = 1\nresidency = 2\n", &[], &[]).unwrap_err()), ["prices", "residency"]);
}

#[test]
fn variables_that_mean_nothing_are_told_apart() {
    let variables = [("ORIGO_PROT".to_owned(), "1".to_owned()), ("HOME".to_owned(), "/root".to_owned())];
    let raw = RawConfig::collect(None, variables, []);
    assert_eq!(raw.unknown_variables, ["ORIGO_PROT"]);
}

#[test]
fn the_rates_of_paths_are_read_with_their_units_and_refused_without() {
    let config = checked("link_rates = [\"virginia=200Mbps\", \"são-paulo = 1 Gbps\"]\n", &[], &[]).unwrap();
    let rates: Vec<_> = config.link_rates_bps.into_iter().collect();
    assert_eq!(rates, [("são-paulo".to_owned(), 1_000_000_000), ("virginia".to_owned(), 200_000_000)]);
    for wrong in ["virginia", "virginia=200", "virginia=0Mbps", "=5Mbps", "virginia=101Gbps", "virginia=-1Mbps"] {
        let faults = checked(&format!("link_rates = [\"{wrong}\"]\n"), &[], &[]).unwrap_err();
        assert_eq!(faulty_keys(&faults), ["link_rates"], "{wrong}");
    }
}

#[test]
fn limits_are_read_with_their_units_and_refused_without() {
    let file = "cpu_full = 70\nmemory_limit = \"2GB\"\negress_limit = \"500Mbps\"\noverload_recovery = \"30s\"\n";
    let limits = checked(file, &[("ORIGO_OVERLOAD", "false")], &[("ingress_limit", "1 Gbps")]).unwrap().limits;
    assert_eq!((limits.sheds, limits.cpu_full, limits.recovery.as_secs()), (false, 0.7, 30));
    assert_eq!(limits.memory_bytes, Some(2_000_000_000));
    assert_eq!((limits.egress_bps, limits.ingress_bps), (Some(500_000_000), Some(1_000_000_000)));
    assert_eq!(checked("", &[], &[]).unwrap().limits, super::Limits::default());
    let file = "cpu_full = 101\nmemory_limit = \"2\"\negress_limit = \"fast\"\noverload_recovery = 0\n";
    let faults = checked(file, &[], &[]).unwrap_err();
    assert_eq!(faulty_keys(&faults), ["overload_recovery", "cpu_full", "memory_limit", "egress_limit"]);
}

#[test]
fn the_sample_holds_every_key_and_has_no_fault() {
    checked(SAMPLE, &[], &[]).unwrap();
    for key in KEYS {
        let held = SAMPLE.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{} = ", key.name)));
        assert!(held, "{} is not in the sample", key.name);
    }
}
