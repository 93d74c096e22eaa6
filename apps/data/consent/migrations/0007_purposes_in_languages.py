from django.db import migrations

WORDS = {
    "marketing": {
        "de": ("Neuigkeiten und Angebote", "Nachrichten über Produkte, Angebote und Neues, die zu dir passen."),
        "fr": ("Nouveautés et offres", "Des messages sur les produits, les offres et les nouveautés qui vous vont."),
        "es": ("Novedades y ofertas", "Mensajes sobre productos, ofertas y novedades que encajan contigo."),
        "ar": ("الأخبار والعروض", "رسائل عن المنتجات والعروض والأخبار التي تناسبك."),
    },
    "personalisation": {
        "de": ("Auf mich abgestimmt", "Was ich gekauft und angesehen habe, bestimmt mit, was mir gezeigt wird."),
        "fr": ("Adapté à mes goûts", "Utiliser ce que j’ai acheté et regardé pour choisir ce qui m’est montré."),
        "es": ("Adaptado a mí", "Usar lo que he comprado y visto para elegir lo que se me muestra."),
        "ar": ("مخصّص لي", "استخدام ما اشتريته وتصفّحته لاختيار ما يُعرض عليّ."),
    },
    "tracking": {
        "de": ("Öffnen und Klicken", "Messen, ob ich Nachrichten öffne und welchen Links ich folge."),
        "fr": ("Ouvertures et clics", "Mesurer si j’ouvre les messages et quels liens je suis."),
        "es": ("Aperturas y clics", "Medir si abro los mensajes y qué enlaces sigo."),
        "ar": ("الفتح والنقر", "قياس ما إذا كنت أفتح الرسائل والروابط التي أتبعها."),
    },
    "profiling": {
        "de": ("Aus meinen Daten lernen", "Meine Daten nutzen, um die Modelle des Shops zu verbessern."),
        "fr": ("Apprendre de mes données", "Utiliser mes données pour améliorer les modèles de la boutique."),
        "es": ("Aprender de mis datos", "Usar mis datos para mejorar los modelos de la tienda."),
        "ar": ("التعلّم من بياناتي", "استخدام بياناتي لتحسين نماذج المتجر."),
    },
    "transactional": {
        "de": (
            "Meine Bestellungen und mein Konto",
            "Nachrichten, die zu einer Bestellung oder zu meinem Konto gehören.",
        ),
        "fr": ("Mes commandes et mon compte", "Les messages liés à une commande ou à mon compte."),
        "es": ("Mis pedidos y mi cuenta", "Mensajes que pertenecen a un pedido o a mi cuenta."),
        "ar": ("طلباتي وحسابي", "رسائل تخصّ طلبًا أو حسابي."),
    },
}


def words_add(apps, schema_editor):
    purpose = apps.get_model("consent", "Purpose")
    for code, words in WORDS.items():
        purpose.objects.filter(code=code, translations={}).update(
            translations={
                language: {"name": name, "description": description} for language, (name, description) in words.items()
            }
        )


class Migration(migrations.Migration):
    dependencies = [("consent", "0006_preferences")]

    operations = [migrations.RunPython(words_add, migrations.RunPython.noop)]
