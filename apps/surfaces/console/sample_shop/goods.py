"""What Harbour & Pine sells: eight categories of twenty-five items, with their prices in euros."""

CATEGORIES: dict[str, tuple[str, str]] = {
    "Kitchen": (
        "KIT",
        """Oak chopping board 34; Walnut chopping board 46; Cast-iron casserole 89; Copper saucepan 74;
        Enamel milk pan 29; Stoneware mixing bowl 27; Beech rolling pin 16; Linen apron 32; Waffle tea towels 19;
        Pepper mill in ash 31; Salt cellar in marble 22; Bread bin with oak lid 54; Pour-over coffee stand 38;
        Glass coffee jug 26; Stovetop kettle 62; Tea tin, set of three 24; Spice rack in pine 41;
        Chef's knife, 20 cm 69; Paring knife, 9 cm 28; Magnetic knife bar 45; Colander in enamel 33;
        Baking tin, long 18; Olive-wood spoons 21; Honey jar with dipper 17; Preserving jars, set of six 23""",
    ),
    "Tableware": (
        "TAB",
        """Dinner plate, sea grey 16; Dinner plate, chalk 16; Breakfast plate, sea grey 12; Soup bowl, chalk 13;
        Serving platter, oval 42; Salad bowl in acacia 48; Water glasses, set of four 22; Wine glasses, set of four 36;
        Carafe with cork 29; Stoneware mug, fog 14; Stoneware mug, moss 14; Espresso cups, pair 19; Teapot in clay 52;
        Cutlery set, sixteen pieces 96; Steak knives, set of four 58; Linen napkins, set of four 28;
        Tablecloth, washed linen 79; Table runner, pine stripe 31; Cork coasters 11; Trivet in slate 15;
        Butter dish 24; Egg cups, set of four 18; Cake stand in marble 59; Cheese board with knife 44; Sauce jug 21""",
    ),
    "Bedroom": (
        "BED",
        """Linen duvet cover, single 98; Linen duvet cover, double 139; Percale sheet, white 49;
        Percale sheet, mist 49; Pillowcase, washed linen 26; Pillowcase, percale 17; Wool blanket, heather 119;
        Cotton blanket, waffle 69; Feather pillow 55; Duvet, light 129; Duvet, warm 169; Mattress topper 189;
        Bedside table in pine 115; Bedside rug, sheepskin 84; Quilted bedspread 149; Linen curtain, chalk 72;
        Linen curtain, fog 72; Blackout curtain 66; Alarm clock in beech 39; Lavender sachets 12;
        Hot-water bottle with cover 27; Clothes valet in ash 89; Jewellery tray 25; Wall mirror, round 94;
        Slippers in felt 35""",
    ),
    "Bathroom": (
        "BAT",
        """Bath towel, chalk 29; Bath towel, pine green 29; Hand towel, chalk 14; Hand towel, pine green 14;
        Guest towels, pair 13; Bath mat in cotton 27; Bath mat in cedar 52; Soap dish in slate 16;
        Soap dispenser in clay 24; Toothbrush mug 12; Laundry basket, seagrass 58; Shower curtain, linen look 39;
        Bathrobe, waffle 79; Bathrobe, terry 89; Sea-salt soap 9; Rosemary soap 9; Bath brush in beech 18;
        Towel ladder in oak 112; Bathroom shelf in oak 64; Mirror with shelf 99; Cotton bath mitt 8;
        Natural sponge 15; Bath salts, pine 17; Hand cream, harbour 14; Wooden bath rack 47""",
    ),
    "Lighting": (
        "LIG",
        """Reading lamp in brass 98; Desk lamp, harbour blue 84; Floor lamp in ash 159; Floor lamp, arc 219;
        Pendant lamp in paper 49; Pendant lamp in glass 119; Pendant lamp in enamel 89; Table lamp in clay 72;
        Table lamp, rattan 68; Wall lamp in brass 76; Lantern, small 32; Lantern, large 54; Storm lantern 46;
        String of lights, ten metres 29; Beeswax candles, six 18; Pillar candle, ivory 12; Scented candle, pine 26;
        Scented candle, salt air 26; Candlestick in brass 34; Tealight holder, set of three 21; Wick trimmer 15;
        Clip lamp 38; Night light, pebble 27; Rechargeable table lamp 92; Bulb, warm white 9""",
    ),
    "Rugs and throws": (
        "RUG",
        """Wool rug, 140 × 200 259; Wool rug, 170 × 240 389; Jute rug, round 129; Jute runner 74;
        Cotton rug, stripe 89; Sheepskin, natural 95; Door mat in coir 24; Door mat, harbour 28;
        Lambswool throw, fog 88;
        Lambswool throw, moss 88; Mohair throw 149; Cotton throw, stripe 52; Linen throw, chalk 64;
        Recycled wool throw 58; Cushion in linen, sand 34; Cushion in linen, ink 34; Cushion in velvet, pine 42;
        Cushion, bouclé 46; Floor cushion 79; Seat pad in felt 22; Bench cushion 61; Pouffe in wool 135;
        Wall hanging, woven 108; Rug underlay 31; Draught stopper 26""",
    ),
    "Garden": (
        "GAR",
        """Terracotta pot, small 9; Terracotta pot, medium 16; Terracotta pot, large 29; Zinc planter 44;
        Hanging planter 27; Watering can, copper 52; Watering can, zinc 38; Secateurs 36; Hand trowel in ash 19;
        Hand fork in ash 19; Garden gloves 17; Kneeling pad 21; Garden twine in tin 11; Seed box in pine 33;
        Plant labels in slate 10; Bird house 31; Bird table 68; Rain gauge 18; Folding chair in acacia 79;
        Folding table in acacia 119; Outdoor cushion 32; Picnic rug 59; Picnic basket 86;
        Fire bowl 148; Wind chime 25""",
    ),
    "Storage": (
        "STO",
        """Storage box in felt, small 18; Storage box in felt, large 27; Seagrass basket, small 22;
        Seagrass basket, large 39; Wire basket 24; Peg rail in oak 43; Coat rack in ash 129; Hooks in brass, pair 19;
        Shoe rack in pine 67; Wall shelf in oak, short 48; Wall shelf in oak, long 72; Ladder shelf 138;
        Magazine rack 41; Umbrella stand 53; Key cabinet 46; Document box 23; Drawer organiser 16;
        Wooden crate 29; Toy chest in pine 109; Coat hangers, set of five 25; Linen bag 14; Canvas tote 18;
        Travel pouch 21; Tray in birch, small 26; Tray in birch, large 38""",
    ),
}
"""Category → (prefix of its item numbers, `title price; …`)."""
