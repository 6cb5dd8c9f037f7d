"""Where no cutover is recorded, the run of days that is read as one. What was read before is read again."""

from django.db import migrations, models


def read_again(apps, schema_editor):
    apps.get_model("pilots", "TrafficReading").objects.update(due=True)


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0014_cost_forecasts'),
    ]

    operations = [
        migrations.AddField(
            model_name='trafficreading',
            name='origin_established_on',
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name='trafficreading',
            name='origin_on',
            field=models.DateField(null=True),
        ),
        migrations.RunPython(read_again, migrations.RunPython.noop),
    ]
