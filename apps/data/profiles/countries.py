"""Countries by their ISO 3166-1 codes: the usual English name of each, and other names that files use."""

_TABLE = """
AD=Andorra; AE=United Arab Emirates; AF=Afghanistan; AG=Antigua & Barbuda; AI=Anguilla; AL=Albania; AM=Armenia;
AO=Angola; AQ=Antarctica; AR=Argentina; AS=American Samoa; AT=Austria; AU=Australia; AW=Aruba; AX=Åland Islands;
AZ=Azerbaijan; BA=Bosnia & Herzegovina; BB=Barbados; BD=Bangladesh; BE=Belgium; BF=Burkina Faso; BG=Bulgaria;
BH=Bahrain; BI=Burundi; BJ=Benin; BL=Saint Barthélemy; BM=Bermuda; BN=Brunei; BO=Bolivia; BQ=Caribbean Netherlands;
BR=Brazil; BS=Bahamas; BT=Bhutan; BV=Bouvet Island; BW=Botswana; BY=Belarus; BZ=Belize; CA=Canada; CC=Cocos Islands;
CD=Democratic Republic of the Congo; CF=Central African Republic; CG=Republic of the Congo; CH=Switzerland; CI=Côte
d'Ivoire; CK=Cook Islands; CL=Chile; CM=Cameroon; CN=China; CO=Colombia; CR=Costa Rica; CU=Cuba; CV=Cape Verde;
CW=Curaçao; CX=Christmas Island; CY=Cyprus; CZ=Czechia; DE=Germany; DJ=Djibouti; DK=Denmark; DM=Dominica;
DO=Dominican Republic; DZ=Algeria; EC=Ecuador; EE=Estonia; EG=Egypt; EH=Western Sahara; ER=Eritrea; ES=Spain;
ET=Ethiopia; FI=Finland; FJ=Fiji; FK=Falkland Islands; FM=Micronesia; FO=Faroe Islands; FR=France; GA=Gabon;
GB=United Kingdom; GD=Grenada; GE=Georgia; GF=French Guiana; GG=Guernsey; GH=Ghana; GI=Gibraltar; GL=Greenland;
GM=Gambia; GN=Guinea; GP=Guadeloupe; GQ=Equatorial Guinea; GR=Greece; GS=South Georgia & the South Sandwich Islands;
GT=Guatemala; GU=Guam; GW=Guinea-Bissau; GY=Guyana; HK=Hong Kong; HM=Heard Island & McDonald Islands; HN=Honduras;
HR=Croatia; HT=Haiti; HU=Hungary; ID=Indonesia; IE=Ireland; IL=Israel; IM=Isle of Man; IN=India; IO=British Indian
Ocean Territory; IQ=Iraq; IR=Iran; IS=Iceland; IT=Italy; JE=Jersey; JM=Jamaica; JO=Jordan; JP=Japan; KE=Kenya;
KG=Kyrgyzstan; KH=Cambodia; KI=Kiribati; KM=Comoros; KN=Saint Kitts & Nevis; KP=North Korea; KR=South Korea;
KW=Kuwait; KY=Cayman Islands; KZ=Kazakhstan; LA=Laos; LB=Lebanon; LC=Saint Lucia; LI=Liechtenstein; LK=Sri Lanka;
LR=Liberia; LS=Lesotho; LT=Lithuania; LU=Luxembourg; LV=Latvia; LY=Libya; MA=Morocco; MC=Monaco; MD=Moldova;
ME=Montenegro; MF=Saint Martin; MG=Madagascar; MH=Marshall Islands; MK=North Macedonia; ML=Mali; MM=Myanmar;
MN=Mongolia; MO=Macao; MP=Northern Mariana Islands; MQ=Martinique; MR=Mauritania; MS=Montserrat; MT=Malta;
MU=Mauritius; MV=Maldives; MW=Malawi; MX=Mexico; MY=Malaysia; MZ=Mozambique; NA=Namibia; NC=New Caledonia; NE=Niger;
NF=Norfolk Island; NG=Nigeria; NI=Nicaragua; NL=Netherlands; NO=Norway; NP=Nepal; NR=Nauru; NU=Niue; NZ=New Zealand;
OM=Oman; PA=Panama; PE=Peru; PF=French Polynesia; PG=Papua New Guinea; PH=Philippines; PK=Pakistan; PL=Poland;
PM=Saint Pierre & Miquelon; PN=Pitcairn Islands; PR=Puerto Rico; PS=Palestine; PT=Portugal; PW=Palau; PY=Paraguay;
QA=Qatar; RE=Réunion; RO=Romania; RS=Serbia; RU=Russia; RW=Rwanda; SA=Saudi Arabia; SB=Solomon Islands;
SC=Seychelles; SD=Sudan; SE=Sweden; SG=Singapore; SH=Saint Helena; SI=Slovenia; SJ=Svalbard & Jan Mayen;
SK=Slovakia; SL=Sierra Leone; SM=San Marino; SN=Senegal; SO=Somalia; SR=Suriname; SS=South Sudan; ST=São Tomé &
Príncipe; SV=El Salvador; SX=Sint Maarten; SY=Syria; SZ=Eswatini; TC=Turks & Caicos Islands; TD=Chad; TF=French
Southern Territories; TG=Togo; TH=Thailand; TJ=Tajikistan; TK=Tokelau; TL=Timor-Leste; TM=Turkmenistan; TN=Tunisia;
TO=Tonga; TR=Türkiye; TT=Trinidad & Tobago; TV=Tuvalu; TW=Taiwan; TZ=Tanzania; UA=Ukraine; UG=Uganda; UM=US Minor
Outlying Islands; US=United States; UY=Uruguay; UZ=Uzbekistan; VA=Vatican City; VC=Saint Vincent & the Grenadines;
VE=Venezuela; VG=British Virgin Islands; VI=US Virgin Islands; VN=Vietnam; VU=Vanuatu; WF=Wallis & Futuna; WS=Samoa;
YE=Yemen; YT=Mayotte; ZA=South Africa; ZM=Zambia; ZW=Zimbabwe
"""

COUNTRY_NAMES: dict[str, str] = dict(entry.split("=", 1) for entry in " ".join(_TABLE.split()).split("; "))
"""The usual English name by the two-letter code."""

OTHER_NAMES: dict[str, str] = {
    "america": "US",
    "bolivia plurinational state of": "BO",
    "bosnia": "BA",
    "britain": "GB",
    "brunei darussalam": "BN",
    "burma": "MM",
    "cabo verde": "CV",
    "congo kinshasa": "CD",
    "congo brazzaville": "CG",
    "cote divoire": "CI",
    "czech republic": "CZ",
    "deutschland": "DE",
    "east timor": "TL",
    "eire": "IE",
    "england": "GB",
    "espana": "ES",
    "great britain": "GB",
    "holland": "NL",
    "hong kong sar": "HK",
    "iran islamic republic of": "IR",
    "italia": "IT",
    "ivory coast": "CI",
    "korea": "KR",
    "korea republic of": "KR",
    "lao peoples democratic republic": "LA",
    "macau": "MO",
    "macedonia": "MK",
    "moldova republic of": "MD",
    "northern ireland": "GB",
    "osterreich": "AT",
    "republic of ireland": "IE",
    "republic of korea": "KR",
    "rsa": "ZA",
    "russian federation": "RU",
    "schweiz": "CH",
    "scotland": "GB",
    "slovak republic": "SK",
    "suisse": "CH",
    "swaziland": "SZ",
    "syrian arab republic": "SY",
    "taiwan province of china": "TW",
    "tanzania united republic of": "TZ",
    "the bahamas": "BS",
    "the gambia": "GM",
    "the netherlands": "NL",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "united states of america": "US",
    "usa": "US",
    "vatican": "VA",
    "venezuela bolivarian republic of": "VE",
    "viet nam": "VN",
    "wales": "GB",
}
"""Codes by names that are not the usual one, folded by `normalize.name_fold`."""

ALPHA_3: dict[str, str] = {
    "AUS": "AU", "AUT": "AT", "BEL": "BE", "BGR": "BG", "BRA": "BR", "CAN": "CA", "CHE": "CH", "CHL": "CL",
    "CHN": "CN", "COL": "CO", "CYP": "CY", "CZE": "CZ", "DEU": "DE", "DNK": "DK", "ESP": "ES", "EST": "EE",
    "FIN": "FI", "FRA": "FR", "GBR": "GB", "GRC": "GR", "HKG": "HK", "HRV": "HR", "HUN": "HU", "IDN": "ID",
    "IND": "IN", "IRL": "IE", "ISL": "IS", "ISR": "IL", "ITA": "IT", "JPN": "JP", "KOR": "KR", "LTU": "LT",
    "LUX": "LU", "LVA": "LV", "MEX": "MX", "MLT": "MT", "MYS": "MY", "NLD": "NL", "NOR": "NO", "NZL": "NZ",
    "PHL": "PH", "POL": "PL", "PRT": "PT", "ROU": "RO", "RUS": "RU", "SGP": "SG", "SVK": "SK", "SVN": "SI",
    "SWE": "SE", "THA": "TH", "TUR": "TR", "TWN": "TW", "UKR": "UA", "USA": "US", "VNM": "VN", "ZAF": "ZA",
}  # fmt: skip
"""Two letters by three (ISO 3166-1), for the countries that files are most likely to name so."""
