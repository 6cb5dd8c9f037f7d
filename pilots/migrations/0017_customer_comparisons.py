"""Comparisons by customers, computed by a worker and kept by what they are of."""


from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0016_undone_imports'),
    ]

    operations = [
        migrations.CreateModel(
            name='CustomerComparison',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(max_length=64, unique=True)),
                ('rows', models.JSONField()),
                ('asked_at', models.DateTimeField()),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('computed_at', models.DateTimeField(null=True)),
                ('p', models.FloatField(null=True)),
                ('customers', models.PositiveIntegerField(default=0)),
                ('permutations', models.PositiveIntegerField(default=0)),
                ('exact', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['asked_at'],
                'indexes': [models.Index(condition=models.Q(('computed_at__isnull', True)), fields=['asked_at'], name='customer_comparison_due')],
            },
        ),
    ]
