"""Names and places to make customers from, for each country. Common names only; nobody in particular."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """How people of a country are made up.

    weight: their share among customers, in percent; languages: (tag, weight); first, last: names, each with its
    Latin spelling behind a slash where it has another script; cities: with the beginning of their postcodes;
    dialling: the start of phone numbers that are set aside for fiction, where we know of any;
    hours: offset from UTC in winter, for the hours of their orders.
    """

    weight: int
    languages: tuple[tuple[str, int], ...]
    time_zone: str
    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]
    streets: tuple[str, ...]
    dialling: str
    hours: int


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _cities(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (entry.rsplit(" ", 1) for entry in _words(text))
    return tuple((city, code) for city, code in pairs)


COUNTRIES: dict[str, Country] = {
    "GB": Country(
        24,
        (("en-GB", 9), ("en", 3)),
        "Europe/London",
        _words(
            "Oliver, Amelia, Harry, Isla, George, Ava, Jack, Mia, Freya, Callum, Niamh, Rhys, Seren, Priya, Imran,"
            "Aisha, Ewan, Poppy, Theo, Grace, Siân, Zoë, Anne-Marie, Finlay, Ruby, Kwame, Chloe, Hamish"
        ),
        _words(
            "Smith, Jones, Taylor, Brown, Evans, Walker, Wright, Khan, Patel, O'Brien, O'Neill, Macdonald, Campbell,"
            "Hughes, Clarke, Green, Baker, Turner, Okafor, Begum, Lloyd-Jones, D'Arcy, Fraser, Price, Hall, Ward"
        ),
        _cities("London E8, Leeds LS6, Bristol BS6, Glasgow G12, Cardiff CF24, Belfast BT7, York YO1, Norwich NR2"),
        ("Mill Lane", "Station Road", "Chapel Street", "Orchard Close", "Quay Street", "Elm Grove"),
        "+447700900",
        0,
    ),
    "DE": Country(
        22,
        (("de", 9), ("de-DE", 2), ("en", 1)),
        "Europe/Berlin",
        _words(
            "Anna, Lukas, Lena, Jonas, Marie, Felix, Sophie, Paul, Emma, Jürgen, Günther, Käthe, Björn, Ömer, Elif,"
            "Mehmet, Greta, Karl-Heinz, Ines, Matthias, Johanna, Tobias, Leonie, Moritz, Annika, Sören, Jörg, Franziska"
        ),
        _words(
            "Müller, Schmidt, Schneider, Fischer, Weber, Meyer, Wagner, Becker, Schäfer, Hoffmann,"
            "Koch, Richter, Klein,"
            "Wolf, Schröder, Neumann, Krüger, Yılmaz, Kaya, Groß, Weiß, von der Heide, Vogt, Lorenz, Jansen, Böhm"
        ),
        _cities("Berlin 104, Hamburg 203, München 803, Köln 506, Leipzig 041, Bremen 282, Kiel 241, Freiburg 791"),
        ("Lindenstraße", "Hafenweg", "Am Mühlbach", "Goethestraße", "Kirchgasse", "Birkenallee"),
        "+4917139200",
        1,
    ),
    "FR": Country(
        12,
        (("fr", 9), ("fr-FR", 2)),
        "Europe/Paris",
        _words(
            "Camille, Lucas, Léa, Hugo, Chloé, Jules, Manon, Louis, Inès, Gabriel, Zoé, Raphaël, Élodie, François,"
            "Jean-Luc, Anaïs, Yasmine, Mehdi, Océane, Théo, Maëlle, Noémie, Benoît, Aurélie"
        ),
        _words(
            "Martin, Bernard, Dubois, Thomas, Robert, Petit, Durand, Leroy, Moreau, Simon, Laurent, Lefèvre, Michel,"
            "Garcia, Roux, Fontaine, Girard, d'Estrées, Benali, N'Diaye, Gauthier, Perrin, Chevalier, Lemaître"
        ),
        _cities("Paris 750, Lyon 690, Nantes 440, Lille 590, Bordeaux 330, Rennes 350, Toulouse 310"),
        ("rue des Pins", "rue du Port", "avenue Victor-Hugo", "place de l'Église", "allée des Tilleuls"),
        "+336399800",
        1,
    ),
    "AT": Country(
        7,
        (("de-AT", 6), ("de", 4)),
        "Europe/Vienna",
        _words(
            "Johann, Maria, Stefan, Katharina, Florian, Theresa, Lukas, Magdalena, Andreas, Eva, Sebastian, Hannah,"
            "Dominik, Valentina, Christoph, Sabine"
        ),
        _words(
            "Gruber, Huber, Bauer, Wagner, Pichler, Steiner, Moser, Mayer, Hofer, Leitner, Berger, Fuchs, Eder, Wimmer"
        ),
        _cities("Wien 10, Graz 80, Linz 40, Salzburg 50, Innsbruck 60"),
        ("Hauptstraße", "Seeweg", "Bergstraße", "Am Anger", "Marktgasse"),
        "",
        1,
    ),
    "CH": Country(
        6,
        (("de-CH", 6), ("fr-CH", 3), ("en", 1)),
        "Europe/Zurich",
        _words("Urs, Beat, Regula, Reto, Nadja, Luca, Chiara, Noah, Céline, Yannick, Vreni, Livia, Andrin, Ladina"),
        _words("Meier, Keller, Frei, Gerber, Brunner, Baumann, Favre, Rochat, Bianchi, Zürcher, Ammann, Bühler, Kälin"),
        _cities("Zürich 80, Bern 30, Basel 40, Genève 12, Lausanne 10, Luzern 60"),
        ("Bahnhofstrasse", "Seestrasse", "Dorfweg", "rue du Lac", "Obere Gasse"),
        "",
        1,
    ),
    "ES": Country(
        6,
        (("es", 9), ("ca", 1)),
        "Europe/Madrid",
        _words(
            "Lucía, Hugo, María José, Pablo, Sofía, Álvaro, Carmen, Javier, Núria, Íñigo, Marta, Sergio, Begoña, Jordi,"
            "Rocío, Andrés"
        ),
        _words(
            "García López, Fernández, Martínez Ruiz, Sánchez, Pérez, Gómez, Muñoz, Ibáñez, Núñez, Ortega, Serra,"
            "Vidal, Castaño, Peña, Domínguez"
        ),
        _cities("Madrid 280, Barcelona 080, Valencia 460, Sevilla 410, Bilbao 480"),
        ("calle Mayor", "calle del Pino", "paseo del Puerto", "avenida de la Paz"),
        "",
        1,
    ),
    "NL": Country(
        6,
        (("nl", 9), ("en", 2)),
        "Europe/Amsterdam",
        _words(
            "Daan, Sanne, Bram, Fleur, Thijs, Lotte, Jeroen, Anouk, Sjoerd, Femke, Koen, Marijke, Joost, Noor, Wietske"
        ),
        _words(
            "de Jong, Jansen, de Vries, van den Berg, Bakker, Visser, Smit, Mulder, van 't Hof, Dijkstra, Vermeulen,"
            "Postma, IJzerman"
        ),
        _cities("Amsterdam 10, Rotterdam 30, Utrecht 35, Groningen 97, Haarlem 20"),
        ("Dorpsstraat", "Havenkade", "Molenweg", "Kerkplein", "Dennenlaan"),
        "",
        1,
    ),
    "PL": Country(
        6,
        (("pl", 1),),
        "Europe/Warsaw",
        _words(
            "Zofia, Jakub, Małgorzata, Michał, Agnieszka, Łukasz, Katarzyna, Paweł, Joanna, Grzegorz, Świętosława,"
            "Krzysztof, Ewa, Stanisław, Bożena"
        ),
        _words(
            "Nowak, Wójcik, Mazur, Kaczmarek, Zając, Król, Wróbel, Duda, Pawlak, Sikora, Baran,Pietrzak, Gąsior, Łuczak"
        ),
        _cities("Warszawa 00, Kraków 30, Gdańsk 80, Wrocław 50, Poznań 60, Łódź 90"),
        ("ulica Lipowa", "ulica Portowa", "aleja Sosnowa", "ulica Szkolna"),
        "",
        1,
    ),
    "US": Country(
        5,
        (("en-US", 8), ("es-US", 1), ("en", 1)),
        "America/New_York",
        _words(
            "Emily, Michael, Madison, Tyler, Hannah, Jayden, LaToya, DeShawn, Mary Ann, J.R., Brooklyn, Mateo, Nguyen,"
            "Abigail, Wyatt, Sarah"
        ),
        _words(
            "Johnson, Williams, Miller, Davis, Rodriguez, Martinez, Anderson, O'Connor, Lee, Nguyen, Kim, McAllister,"
            "Saint-Pierre, Washington, Cohen"
        ),
        _cities("Boston 021, Portland 041, Brooklyn 112, Providence 029, Baltimore 212"),
        ("Harbor Street", "Maple Avenue", "Pine Road", "2nd Street"),
        "+121255501",
        -5,
    ),
    "AE": Country(
        2,
        (("ar", 6), ("en", 3)),
        "Asia/Dubai",
        _words(
            "محمد/Mohammed, فاطمة/Fatima, أحمد/Ahmed, مريم/Maryam, خالد/Khalid, عائشة/Aisha, سعيد/Saeed, نورة/Noura,"
            "علي/Ali, ليلى/Layla"
        ),
        _words(
            "المنصوري/Al Mansoori, الكعبي/Al Kaabi, الهاشمي/Al Hashimi, النعيمي/Al Nuaimi, حداد/Haddad, خوري/Khoury"
        ),
        _cities("دبي 0, أبوظبي 0, الشارقة 0"),
        ("شارع الميناء", "شارع النخيل"),
        "",
        4,
    ),
    "SA": Country(
        2,
        (("ar", 1),),
        "Asia/Riyadh",
        _words(
            "عبدالله/Abdullah, سارة/Sara, فهد/Fahad, هند/Hind, يوسف/Yousef, ريم/Reem, سلطان/Sultan, لطيفة/Latifa,"
            "عمر/Omar, منى/Mona"
        ),
        _words("القحطاني/Al Qahtani, الغامدي/Al Ghamdi, الحربي/Al Harbi, الشهري/Al Shehri, الزهراني/Al Zahrani"),
        _cities("الرياض 11, جدة 21, الدمام 31"),
        ("طريق الملك", "شارع البحر"),
        "",
        3,
    ),
    "JP": Country(
        2,
        (("ja", 1),),
        "Asia/Tokyo",
        _words(
            "陽菜/Hina, 蓮/Ren, さくら/Sakura, 大翔/Hiroto, 美咲/Misaki, 翔太/Shota, 結衣/Yui, 健一/Kenichi,"
            "あかり/Akari, 直樹/Naoki"
        ),
        _words(
            "佐藤/Sato, 鈴木/Suzuki, 高橋/Takahashi, 田中/Tanaka, 伊藤/Ito, 渡辺/Watanabe, 山本/Yamamoto, 髙﨑/Takasaki"
        ),
        _cities("東京 100, 大阪 530, 京都 600, 横浜 220"),
        ("港町", "松原通"),
        "",
        9,
    ),
}

GAPS: tuple[tuple[str, int], ...] = (
    ("", 800),
    ("no_first_name", 60),
    ("no_name", 12),
    ("capitals", 34),
    ("lower_case", 24),
    ("trailing_blank", 24),
    ("placeholder_name", 12),
    ("invisible_name", 4),
    ("emoji_name", 6),
    ("long_name", 2),
    ("company_as_name", 6),
    ("no_country", 26),
    ("wrong_country", 14),
    ("no_language", 40),
    ("odd_language", 6),
    ("no_email", 30),
    ("invalid_email", 18),
    ("shared_email", 16),
    ("second_email", 14),
    ("no_time_zone", 20),
)
"""What is wrong or missing, and how often in a thousand or so. The first customers have each of them once."""

PLACEHOLDER_NAMES = ("N/A", "n/a", "-", "None", "null", "test", "Kunde", "undefined", "???", "x")
INVISIBLE_NAMES = ("\u200b", " \u00a0 ", "\u2060", "\u00ad", "\u3000")
EMOJI = ("🌸", "🦊", "✨", "🏡", "👩‍🍳", "🇬🇧", "❤️")
LONG_NAME = "Maximiliana Wilhelmina Theodora Alexandrina Karolina Friederike"
COMPANIES = ("Lantern Café GmbH", "B&B Saltmarsh", "Kanzlei Nord", "Atelier <Nord & Süd>", "Hotel “Zur Post”")
WRONG_COUNTRIES = ("UK", "EN", "XX", "ZZ", "de", "gb", "EU")
ODD_LANGUAGES = ("xx", "english", "de_DE", "pt-BR", "zh-Hant-HK", "tlh")
INVALID_EMAILS = (
    "{local}@",
    "{local}(at)mail.example",
    "{local}@mail",
    "{local} @mail.example",
    "{local}@mail..example",
    "@{local}",
    "{local}@mail.example,",
    "none",
)
MAIL_HOSTS = (
    ("mail.example", 10),
    ("post.example", 6),
    ("inbox.example", 5),
    ("example.com", 4),
    ("example.org", 2),
    ("example.net", 2),
)
