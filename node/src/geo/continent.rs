//! On which continent each country lies, as prices of links tell oceans apart.

/// Codes of the continents.
pub const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

/// Codes of countries by continent, in the order of [`CONTINENTS`] (UN M49; Russia, Cyprus and Turkey by where most of
/// their people, or their cables, are).
const COUNTRIES: [&str; 7] = [
    "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG \
     RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    "AQ BV GS HM TF",
    "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH \
     PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT \
     NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    "AG AI AN AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US \
     VC VG VI",
    "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS",
    "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
];

/// The continent of a country's code, in capitals.
pub fn continent_of(country: &str) -> Option<&'static str> {
    let lists = CONTINENTS.iter().zip(COUNTRIES);
    lists.into_iter().find(|(_, list)| list.split(' ').any(|code| code == country)).map(|(continent, _)| *continent)
}

#[cfg(test)]
mod tests {
    use super::super::Country;
    use super::*;

    #[test]
    fn each_country_lies_on_one_continent() {
        let all: Vec<&str> = COUNTRIES.iter().flat_map(|list| list.split(' ')).collect();
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
        let unknown: Vec<&str> = all.into_iter().filter(|code| Country::by_code(code).is_none()).collect();
        assert_eq!(unknown, Vec::<&str>::new());
        let homeless: Vec<&str> = Country::codes().filter(|code| continent_of(code).is_none()).collect();
        assert_eq!(homeless, Vec::<&str>::new());
        assert_eq!((continent_of("DE"), continent_of("BR"), continent_of("ZZ")), (Some("EU"), Some("SA"), None));
    }
}
