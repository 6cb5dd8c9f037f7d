"""A team may ask for a second person for every decision."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('evaluations', '0015_judgings'),
    ]

    operations = [
        migrations.AddField(
            model_name='team',
            name='second_person',
            field=models.BooleanField(default=False),
        ),
    ]
